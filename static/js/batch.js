// The list of uploads: a thumbnail, how far it is, and the answer of each.

import { Refused, sendPatiently } from "./send.js";

const AT_ONCE = 2; // more would only wait in the server's queue

// events: "answered" and "failed" (detail: the item), when one is done; "open" and "retry", when
// a person asks for that; "idle", when all are done.
export class Batch extends EventTarget {
  constructor() {
    super();
    this.items = [];
    this.running = 0;
    this.part("cancel-all").addEventListener("click", () => this.items.forEach((i) => this.cancel(i)));
  }

  part(id) {
    return document.getElementById(id);
  }

  get answered() {
    return this.items.filter((item) => item.data);
  }

  // uploads: of `uploadsOf`; options: form fields that go with each.
  add(uploads, options) {
    const added = uploads.map((upload) => this.row({ ...upload, options, state: "waiting" }));
    this.items.push(...added);
    for (const item of added) {
      if (item.problem) this.fail(item, new Refused(item.problem));
      else this.show(item, "Waiting");
    }
    this.next();
    return added;
  }

  row(item) {
    const row = this.part("item").content.firstElementChild.cloneNode(true);
    const find = (name) => row.querySelector(name);
    item.row = row;
    find(".item-name").textContent = item.name;
    find(".item-open").addEventListener("click", () => this.tell("open", item));
    find(".item-cancel").addEventListener("click", () => this.cancel(item));
    find(".item-retry").addEventListener("click", () => {
      item.state = "waiting";
      this.show(item, "Waiting");
      this.tell("retry", item);
      this.next();
    });
    this.part("items").append(row);
    if (item.files[0]) thumbnail(find(".thumb"), item.files[0]);
    return item;
  }

  tell(event, item) {
    this.dispatchEvent(new CustomEvent(event, { detail: item }));
  }

  show(item, words, share = null) {
    const { row, state } = item;
    row.className = `item ${item.data?.summary.verdict ?? state}`;
    row.querySelector(".item-state").textContent = words;
    row.querySelector(".item-open").disabled = !(item.data || item.error);
    row.querySelector(".item-retry").hidden = !item.error?.again || state !== "failed";
    row.querySelector(".item-cancel").hidden = state !== "waiting" && state !== "running";
    const bar = row.querySelector("progress");
    bar.hidden = state !== "running";
    bar.setAttribute("aria-label", item.name);
    if (share === null || share === 1) bar.removeAttribute("value");
    else bar.value = share;
    this.sum();
  }

  // Not in the line that a screen reader reads out: there are too many of these.
  showJudged({ row }, judged, total) {
    row.querySelector(".item-state").textContent = `Judged ${judged} of ${total} slices…`;
    row.querySelector("progress").value = judged / total;
  }

  // One line for all of them; a single answer needs no list.
  sum() {
    const done = this.items.filter((item) => item.data || item.error).length;
    const failed = this.items.filter((item) => item.error).length;
    const busy = this.items.some((item) => item.state === "waiting" || item.state === "running");
    const count = this.items.length;
    let words = count === 1 ? this.items[0].row.querySelector(".item-state").textContent : `${done} of ${count} done`;
    if (count > 1 && failed) words += `, ${failed} without an answer`;
    if (this.part("status").textContent !== words) this.part("status").textContent = words;
    this.part("uploads").hidden = count === 0 || (count === 1 && !busy && !failed);
    this.part("cancel-all").hidden = !busy || count === 1;
    this.part("csv").hidden = busy || this.answered.length < 2;
  }

  next() {
    const item = this.items.find((one) => one.state === "waiting");
    if (!item) {
      if (!this.running) this.tell("idle");
      return;
    }
    if (this.running >= AT_ONCE) return;
    this.running++;
    this.run(item).finally(() => {
      this.running--;
      this.next();
    });
    this.next();
  }

  async run(item) {
    item.state = "running";
    item.error = null;
    item.stop = new AbortController();
    this.show(item, "Sending…");
    try {
      const response = await sendPatiently("view", () => formOf(item), {
        signal: item.stop.signal,
        onUpload: (share) =>
          this.show(item, share < 1 ? `Sending ${Math.floor(share * 100)} %` : "Judging…", share),
        onJudged: (judged, total) => this.showJudged(item, judged, total),
        onWait: (seconds) => this.show(item, `The server is busy: trying again in ${seconds} s`),
      });
      item.data = await unpack(await response.formData());
      item.state = "done";
      thumbnail(item.row.querySelector(".thumb"), item.data.slices[item.data.info.start]);
      this.show(item, item.data.summary.headline);
      this.tell("answered", item);
    } catch (error) {
      if (error.name === "AbortError") this.cancelled(item);
      else if (error instanceof Refused) this.fail(item, error);
      else {
        console.error(error);
        this.fail(item, new Refused("The answer could not be read. Please try again.", { again: true }));
      }
    }
  }

  fail(item, error) {
    item.state = "failed";
    item.error = error;
    this.show(item, error.message);
    this.tell("failed", item);
  }

  cancel(item) {
    if (item.state === "running") item.stop.abort();
    else if (item.state === "waiting") this.cancelled(item);
  }

  cancelled(item) {
    item.state = "failed";
    item.error = new Refused("Cancelled.", { again: true });
    this.show(item, "Cancelled");
  }

  mark(item) {
    for (const one of this.items) {
      one.row.classList.toggle("shown", one === item);
      const open = one.row.querySelector(".item-open");
      if (one === item) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
    }
  }
}

export function formOf(item) {
  const form = new FormData();
  for (const file of item.files) form.append("file", file);
  for (const [name, value] of Object.entries(item.options)) form.append(name, value);
  return form;
}

// Takes the answer of /view apart.
async function unpack(parts) {
  const said = JSON.parse(parts.get("answer"));
  const slices = said.viewer.slices.map((_, place) => parts.get(`slice-${place}`));
  const heat = parts.get("heat");
  return {
    result: said.result, summary: said.summary, info: said.viewer, html: said.html, slices,
    heat: heat && new Uint8Array(await heat.arrayBuffer()),
  };
}

// A file that the browser cannot draw (DICOM, NIfTI) gets its thumbnail with the answer.
async function thumbnail(canvas, blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    bitmap.close();
  } catch {
    // Stays black.
  }
}
