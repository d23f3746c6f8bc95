// Asking back: what would the model say without this region?

import { formOf } from "./batch.js";
import { Marker } from "./marker.js";
import { Picture } from "./picture.js";
import { sendPatiently } from "./send.js";
import { bar, bars, make, percent } from "./words.js";

const HINT = "Mark a region. The page fills it from its surroundings, and the model judges the slice again.";
const DRAW = "Draw around a region, or click to place the circle. Arrows move it, + and − resize it, Enter asks, Escape cancels.";

export function addAskBack(viewer, item) {
  const part = (id) => document.getElementById(id);
  const marker = new Marker(viewer, ready);
  part("mark").addEventListener("click", toggle);
  part("circle").addEventListener("click", () => {
    marker.putCircle();
    viewer.stage.focus();
  });
  part("ask").addEventListener("click", ask);
  part("undo").addEventListener("click", undo);
  viewer.addEventListener("slice", forget);
  return { marker, toggle, ask, undo };

  function toggle() {
    if (marker.active) {
      marker.stop();
      undo();
    } else {
      marker.start();
      viewer.stage.focus();
    }
    part("mark").setAttribute("aria-pressed", String(marker.active));
    part("marking").hidden = !marker.active;
    part("mark-hint").textContent = marker.active ? DRAW : HINT;
    complain("");
  }

  function ready() {
    part("ask").disabled = !marker.points;
  }

  function forget() {
    viewer.filled = null;
    part("moved").hidden = true;
    part("undo").disabled = true;
    part("ask").disabled = !marker.points;
  }

  function undo() {
    forget();
    viewer.changed();
  }

  function complain(words) {
    part("without-problem").textContent = words;
    part("without-problem").hidden = !words;
  }

  async function ask() {
    if (!marker.points || part("ask").getAttribute("aria-busy") === "true") return;
    if (!viewer.facts.familiar) {
      complain("This slice is not like those that the model knows, so it gets no class.");
      return;
    }
    const slice = viewer.slice;
    part("ask").setAttribute("aria-busy", "true");
    complain("");
    try {
      const response = await sendPatiently("api/v1/counterfactual", () => question(slice));
      const said = await response.json();
      if (slice !== viewer.slice) return;
      const filled = await Picture.from(blobOf(said.filled_png));
      part("moved").replaceChildren(...movement(said, viewer.info));
      part("moved").hidden = false;
      part("undo").disabled = false;
      viewer.set({ filled });
    } catch (error) {
      complain([error.message, error.hint].filter(Boolean).join(" "));
    } finally {
      part("ask").removeAttribute("aria-busy");
    }
  }

  // The slice as it is shown is the slice as it was read, unless it was scaled down: then it
  // is sent alone, which for a series is much less than all its files.
  function question(slice) {
    const { shape, view } = viewer.info.slices[slice];
    const whole = shape[0] === view[0] && shape[1] === view[1];
    const form = whole ? new FormData() : formOf(item);
    if (whole) form.append("file", viewer.data.slices[slice], "slice.png");
    form.append("slice_index", whole ? 0 : slice);
    const points = marker.points.map(([x, y]) => [
      Math.round((x * shape[1] * 10) / view[1]) / 10, Math.round((y * shape[0] * 10) / view[0]) / 10,
    ]);
    form.append("region", JSON.stringify(points));
    return form;
  }
}

// A data: URI may not be fetched under our Content-Security-Policy, so it is decoded here.
function blobOf(uri) {
  const bytes = Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

// The words and the table of how the probabilities moved.
function movement({ before, after }, info) {
  const name = (label) => info.names[info.labels.indexOf(label)];
  const top = before.label;
  const words = `Without this region, ${name(top)} changes from ${percent(before.probabilities[top])} to ${percent(after.probabilities[top])}.`;
  const parts = [make("p", { class: "lead" }, words)];
  if (!after.familiar) {
    const failed = after.reasons.find((reason) => reason.failed);
    parts.push(make("p", { class: "problem" },
      `The filled slice is not like those that the model knows, so do not rely on this comparison. ${failed ? `${failed.sentence} (${failed.value}, limit ${failed.limit})` : ""}`));
  } else if (after.label !== top) {
    parts.push(make("p", {}, `Its first guess is then ${name(after.label)} (${after.verdict}).`));
  }
  const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Class"),
    ...["", "Before", "Without it", "Change"].map((text) =>
      make(text ? "th" : "td", text ? { scope: "col" } : { class: "move-bar" }, text))));
  const rows = info.labels.map((label) => {
    const [was, is] = [before.probabilities[label], after.probabilities[label]];
    const change = (is - was) * 100;
    const sign = change < 0 ? "−" : "+";
    const moved = Math.abs(change) >= 0.05;
    return make("tr", {}, make("th", { scope: "row" }, name(label)),
      make("td", { class: "move-bar" }, bars(bar(was, "before", 0, "6"), bar(is, "after", 8, "6"))),
      make("td", {}, percent(was)), make("td", {}, percent(is)),
      make("td", { class: Math.abs(change) >= 5 ? "changed" : "" }, moved ? `${sign}${Math.abs(change).toFixed(1)}` : "0"));
  });
  parts.push(make("table", {}, make("caption", {}, "Probability of each class, and its change in percentage points"), head, make("tbody", {}, ...rows)));
  return parts;
}
