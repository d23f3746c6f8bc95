// The page works without this file. With it: drop, paste or choose anything, watch each
// upload, and read the answer in the viewer.

import { Batch } from "./batch.js";
import { uploadsOf, withoutClutter } from "./checks.js";
import { addKeys } from "./keys.js";
import { Refused } from "./send.js";
import { addSources } from "./sources.js";
import { download, make } from "./words.js";

// What shows an answer is fetched while the first file is sent: the start page needs none of it.
const answers = () => import("./answer.js");
for (const sign of ["pointerover", "dragenter", "keydown"]) {
  document.addEventListener(sign, () => answers().catch(() => {}), { once: true });
}
const part = (id) => document.getElementById(id);
const batch = part("uploads") && new Batch();
let shown = null; // { viewer, back } of the answer that stands there
let wanted = null; // the upload whose answer is shown as soon as it is there

addKeys(() => shown);
if (batch) {
  addSources(take);
  addForm();
  sayReload();
  batch.addEventListener("open", ({ detail }) => open(detail));
  batch.addEventListener("retry", ({ detail }) => {
    wanted = new Set([detail]);
  });
  batch.addEventListener("answered", ({ detail }) => {
    if (wanted?.has(detail)) open(detail);
  });
  batch.addEventListener("failed", ({ detail }) => {
    if (wanted?.size === 1 && wanted.has(detail)) open(detail);
  });
  batch.addEventListener("idle", () => {
    // All have failed: show why, at least of the first.
    if (wanted?.size) open([...wanted][0]);
  });
  part("csv").addEventListener("click", saveTable);
}

async function take(files) {
  const chosen = withoutClutter(files);
  if (!chosen.length) return complain("There is no file here. Choose a slice.");
  complain("");
  answers().catch(() => {}); // said when the answer is there
  const uploads = await uploadsOf(chosen);
  wanted = new Set();
  const added = batch.add(uploads, { plane: part("plane")?.value ?? "axial" });
  for (const item of added) wanted.add(item);
  const failed = added.filter((item) => item.error);
  if (failed.length === added.length) open(failed[0]);
  else if (added.length > 1 || shown) part("uploads").scrollIntoView({ block: "nearest" });
}

function open(item) {
  wanted = null;
  batch.mark(item);
  if (item.data) showAnswer(item);
  else if (item.error) showFailure(item.error);
}

async function showAnswer(item) {
  let show;
  try {
    ({ showAnswer: show } = await answers());
  } catch {
    showFailure(new Refused("The viewer could not be loaded.", { hint: "Check the connection and reload the page." }));
    return;
  }
  shown?.viewer.close();
  shown = show(item, (number) => openSeries(item, number));
  addForm();
  part("notice")?.setAttribute("hidden", "");
  remember();
}

// The same files are sent again, since the server keeps nothing; once for each series.
function openSeries({ files, name, options, first = name }, number) {
  const known = batch.answered.find((one) => one.files === files && one.data.info.series === number);
  if (known) return open(known);
  const upload = { files, name: `${first}, series ${number + 1}`, first };
  wanted = new Set(batch.add([upload], { ...options, series: number }));
  part("uploads").scrollIntoView({ block: "nearest" });
}

function showFailure(error) {
  for (const old of document.querySelectorAll("#content .refused")) old.remove();
  const headline = make("h2", { tabindex: "-1" }, error.message);
  const panel = make("section", { class: "panel refused", role: "alert" },
    make("p", { class: "badge" }, "No answer"), headline, error.hint ? make("p", {}, error.hint) : "");
  part("upload").before(panel);
  headline.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "nearest" });
}

function complain(words) {
  part("problem").textContent = words;
  part("problem").hidden = !words;
}

// The form of the start page, and the one that comes with each answer.
function addForm() {
  part("choose").addEventListener("click", () => part("file").click());
  part("choose-folder").addEventListener("click", () => part("folder").click());
  for (const id of ["file", "folder"]) {
    part(id).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    });
  }
  part("upload").addEventListener("submit", (event) => event.preventDefault());
  for (const form of document.querySelectorAll(".sample")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      takeSample(form.querySelector("button"));
    });
  }
}

async function takeSample(button) {
  try {
    const response = await fetch(`samples/${button.value}.png`);
    if (!response.ok) throw new Error();
    const title = button.querySelector("strong").textContent;
    take([new File([await response.blob()], title, { type: "image/png" })]);
  } catch {
    complain("The sample cannot be fetched. Check the connection and try again.");
  }
}

async function saveTable() {
  const said = part("status");
  part("csv").disabled = true;
  try {
    const { tableOf } = await answers();
    // Of an upload with several series the table has all of them already.
    const items = batch.answered.filter((item, i, all) =>
      all.findIndex((one) => one.files === item.files) === i);
    const table = await tableOf(items, (place) => {
      said.textContent = `Writing ${place} of ${items.length}`;
    });
    download(table, "brain-cnn.csv");
    said.textContent = "Saved as brain-cnn.csv.";
  } catch (error) {
    said.textContent = error.message;
  } finally {
    part("csv").disabled = false;
  }
}

// A reload loses the answer, since nothing is kept: say so instead of showing an empty page.
function remember() {
  try {
    sessionStorage.setItem("had-answer", "1");
  } catch {
    // Then nothing is said.
  }
}

function sayReload() {
  try {
    if (!sessionStorage.getItem("had-answer") || !part("notice")) return;
    sessionStorage.removeItem("had-answer");
    part("notice").textContent =
      "The page was reloaded. Nothing of your upload was kept, so choose it again to see its answer.";
    part("notice").hidden = false;
  } catch {
    // As above.
  }
}
