// Puts an answer on the page: the panel that the server wrote, and the viewer in it.

import { addAskBack } from "./askback.js";
import { addControls, addCurve } from "./controls.js";
import { addGestures } from "./gestures.js";
import { addKeep } from "./keep.js";
import { Viewer } from "./viewer.js";

export { tableOf } from "./keep.js";

// Where no class is named there is nothing to ask back.
const NO_QUESTION = {
  marker: { active: false, drawing: false, drop() {} },
  toggle() {},
};

// item: of the batch, with its data; openSeries(number): shows another series of its files.
// Returns the viewer, and the asking back for the keys.
export function showAnswer(item, openSeries) {
  const part = (id) => document.getElementById(id);
  const page = new DOMParser().parseFromString(item.data.html, "text/html");
  part("content").replaceChildren(...document.adoptNode(page.body).childNodes);
  document.title = `${item.data.summary.headline} · Brain CNN`;
  const viewer = new Viewer(part("viewer"), item.data);
  const back = part("without") ? addAskBack(viewer, item) : NO_QUESTION;
  addControls(viewer);
  addCurve(viewer);
  addGestures(viewer, back.marker);
  addKeep(viewer, item);
  for (const button of document.querySelectorAll("[data-series]")) {
    button.addEventListener("click", () => openSeries(Number(button.dataset.series)));
  }
  // Moving the focus to the headline makes a screen reader read the answer out.
  part("headline").focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
  return { viewer, back };
}
