// The page works without this file. With it: drop files anywhere, hear at once of a file that
// cannot work, and see how far the upload and the judging are.

// First bytes that are surely none of ours; the server decides about all others by content.
const FOREIGN = [
  [[0x25, 0x50, 0x44, 0x46], "a PDF document"],
  [[0x52, 0x61, 0x72, 0x21], "a RAR archive"],
  [[0x37, 0x7a, 0xbc, 0xaf], "a 7z archive"],
];

const form = () => document.getElementById("upload");
const part = (id) => document.getElementById(id);

function say(status, problem = "") {
  part("status").textContent = status;
  part("problem").textContent = problem;
  part("problem").hidden = !problem;
}

// Returns what is wrong with one file in one sentence, or "" if it may be sent.
async function objection(file) {
  const { maxBytes, maxMib } = form().dataset;
  if (file.size === 0) return "The file is empty. Choose another one.";
  if (file.size > Number(maxBytes)) {
    return `The file has ${mib(file.size)} MiB; the limit is ${maxMib} MiB. Export it smaller.`;
  }
  let head;
  try {
    head = new Uint8Array(await file.slice(0, 512).arrayBuffer());
  } catch {
    return "The file cannot be read. If it is a folder, choose the files in it.";
  }
  for (const [bytes, name] of FOREIGN) {
    if (bytes.every((byte, place) => head[place] === byte)) {
      return `This is ${name}. Choose a picture, DICOM, NIfTI or a ZIP of a series.`;
    }
  }
  const text = head.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte > 31 && byte < 127));
  return text ? "This is not an image that we read: it is text." : "";
}

const mib = (bytes) => (bytes / 1048576).toFixed(1);

// Returns what is wrong with the upload as a whole; a series may hold some foreign files.
async function objections(files) {
  if (files.length === 1) return objection(files[0]);
  const { maxFiles, maxRequestBytes, maxRequestMib } = form().dataset;
  if (files.length > Number(maxFiles)) {
    return `These are ${files.length} files; the limit is ${maxFiles}. Choose one series.`;
  }
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > Number(maxRequestBytes)) {
    return `Together the files have ${mib(total)} MiB; the limit is ${maxRequestMib} MiB.`;
  }
  return "";
}

async function submit(files) {
  const problem = await objections(files);
  if (problem) {
    say("", problem);
    return;
  }
  const body = new FormData();
  for (const file of files) body.append("file", file);
  body.append("plane", part("plane").value);
  const button = form().querySelector("button");
  const progress = part("progress");
  button.disabled = true;
  progress.hidden = false;
  say("Sending…");
  const request = new XMLHttpRequest();
  request.upload.onprogress = (event) => {
    if (event.lengthComputable) progress.value = event.loaded / event.total;
  };
  request.upload.onload = () => {
    progress.removeAttribute("value");
    say("Reading…");
  };
  request.onprogress = () => {
    const { done, total } = lastLine(request);
    if (total > 1) {
      progress.value = done / total;
      say(`Judged ${done} of ${total} slices…`);
    }
  };
  request.onload = () => show(lastLine(request).html ?? request.responseText);
  request.onerror = () => {
    button.disabled = false;
    progress.hidden = true;
    say("", "The server cannot be reached. Check the connection and try again.");
  };
  request.open("POST", `${form().action}?progress=1`);
  request.send(body);
}

// The answer comes as JSON lines, the page in the last; errors before that are a plain page.
function lastLine(request) {
  if (!request.getResponseHeader("Content-Type")?.includes("ndjson")) return {};
  const lines = request.responseText.split("\n");
  lines.pop(); // what follows the last line's end is not complete
  return lines.length ? JSON.parse(lines.at(-1)) : {};
}

// The server answers with a whole page, errors too: take its content over.
function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const main = page.getElementById("main");
  if (!main) {
    say("", "The server sent no page. Try again in a moment.");
    part("progress").hidden = true;
    form().querySelector("button").disabled = false;
    return;
  }
  document.title = page.title;
  part("main").replaceWith(document.adoptNode(main));
  // Moving the focus to the headline makes a screen reader read the answer out.
  part("headline")?.focus();
  window.scrollTo({ top: 0 });
}

document.documentElement.classList.add("js");

document.addEventListener("submit", (event) => {
  if (event.target !== form()) return;
  const files = [...part("file").files];
  if (!files.length) return;
  event.preventDefault();
  submit(files);
});

document.addEventListener("change", async (event) => {
  if (event.target.id !== "file" || !event.target.files.length) return;
  say("", await objections([...event.target.files]));
});

let depth = 0; // dragenter and dragleave also fire for every element inside
const dragging = (on) => document.documentElement.classList.toggle("dragging", on);
document.addEventListener("dragenter", () => dragging(++depth > 0));
document.addEventListener("dragleave", () => dragging(--depth > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  dragging(false);
  const files = [...event.dataTransfer.files];
  if (!files.length) return;
  part("file").files = event.dataTransfer.files;
  submit(files);
});
