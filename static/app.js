// The page works without this file. With it: drop a file anywhere, hear at once of a file that
// cannot work, and see the upload's progress.

// First bytes of the formats that the server reads; it decides again, by the same rule.
const SIGNATURES = [
  [0x89, 0x50, 0x4e, 0x47], // PNG
  [0xff, 0xd8, 0xff], // JPEG
  [0x47, 0x49, 0x46, 0x38], // GIF
  [0x52, 0x49, 0x46, 0x46], // WebP
  [0x42, 0x4d], // BMP
  [0x49, 0x49], // TIFF, little endian
  [0x4d, 0x4d], // TIFF, big endian
];

const form = () => document.getElementById("upload");
const part = (id) => document.getElementById(id);

function say(status, problem = "") {
  part("status").textContent = status;
  part("problem").textContent = problem;
  part("problem").hidden = !problem;
}

// Returns what is wrong with the file in one sentence, or "" if it may be sent.
async function objection(file) {
  const { maxBytes, maxMib } = form().dataset;
  if (file.size === 0) return "The file is empty. Choose another one.";
  if (file.size > Number(maxBytes)) {
    const size = (file.size / 1048576).toFixed(1);
    return `The file has ${size} MiB; the limit is ${maxMib} MiB. Export it smaller.`;
  }
  let head;
  try {
    head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  } catch {
    return "The file cannot be read. If it is a folder, choose one image in it.";
  }
  const known = SIGNATURES.some((bytes) => bytes.every((byte, place) => head[place] === byte));
  return known ? "" : "This is not an image that we read. Choose a PNG or JPEG of the slice.";
}

async function submit(file) {
  const problem = await objection(file);
  if (problem) {
    say("", problem);
    return;
  }
  const body = new FormData();
  body.append("file", file);
  const button = form().querySelector("button");
  const progress = part("progress");
  button.disabled = true;
  progress.hidden = false;
  say("Sending…");
  const request = new XMLHttpRequest();
  request.upload.onprogress = (event) => {
    if (event.lengthComputable) progress.value = event.loaded / event.total;
  };
  request.upload.onload = () => say("Analysing…");
  request.onload = () => show(request.responseText);
  request.onerror = () => {
    button.disabled = false;
    progress.hidden = true;
    say("", "The server cannot be reached. Check the connection and try again.");
  };
  request.open("POST", form().action);
  request.send(body);
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
  const [file] = part("file").files;
  if (!file) return;
  event.preventDefault();
  submit(file);
});

document.addEventListener("change", async (event) => {
  if (event.target.id !== "file" || !event.target.files.length) return;
  say("", await objection(event.target.files[0]));
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
  const files = event.dataTransfer.files;
  if (files.length > 1) {
    say("", `You dropped ${files.length} files. Drop one slice at a time.`);
  } else if (files.length === 1) {
    part("file").files = files;
    submit(files[0]);
  }
});
