// The keyboard. Single letters work everywhere on the page unless a person switches them off
// (speech input types them by accident); arrows work in the viewer, to leave scrolling alone.

const dialog = () => document.getElementById("keys");

export function addKeys(current) {
  const box = document.getElementById("keys-on");
  try {
    box.checked = localStorage.getItem("single-keys") !== "off";
    box.addEventListener("change", () => localStorage.setItem("single-keys", box.checked ? "on" : "off"));
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
  document.getElementById("keys-button").addEventListener("click", () => dialog().showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog().open) return;
    const { target } = event;
    const inStage = target.id === "stage";
    if (!inStage && target.matches("input:not([type=radio], [type=checkbox]), select, textarea")) return;
    if (event.key === "?" && (box.checked || inStage)) {
      event.preventDefault();
      dialog().showModal();
      return;
    }
    const shown = current();
    if (!shown) return;
    const done = (inStage && stageKey(event, shown)) || ((box.checked || inStage) && letter(event, shown));
    if (done) event.preventDefault();
  });
}

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const JUMPS = { PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

function stageKey(event, { viewer, back }) {
  const { key } = event;
  if (back.marker.active && markKey(event, back)) return true;
  if (key in ARROWS) {
    const [x, y] = ARROWS[key];
    const step = viewer.picture.width / 20 / viewer.zoom;
    if (event.shiftKey || viewer.count === 1) viewer.move(x * step, y * step);
    else viewer.goTo(viewer.slice + x + y);
    return true;
  }
  if (key in JUMPS && viewer.count > 1) {
    viewer.goTo(viewer.slice + JUMPS[key]);
    return true;
  }
  return false;
}

function markKey({ key }, back) {
  if (key in ARROWS) back.marker.nudge(...ARROWS[key]);
  else if (key === "+" || key === "=") back.marker.nudge(0, 0, 1.12);
  else if (key === "-") back.marker.nudge(0, 0, 1 / 1.12);
  else if (key === "Enter") back.ask();
  else if (key === "Escape") back.toggle();
  else return false;
  return true;
}

function letter({ key }, { viewer, back }) {
  const { grey, info } = viewer;
  const acts = {
    "+": () => viewer.zoomBy(1.25),
    "=": () => viewer.zoomBy(1.25),
    "-": () => viewer.zoomBy(1 / 1.25),
    "[": () => viewer.setWindow(grey.width - 16, grey.level),
    "]": () => viewer.setWindow(grey.width + 16, grey.level),
    ",": () => viewer.setWindow(grey.width, grey.level - 8),
    ".": () => viewer.setWindow(grey.width, grey.level + 8),
    i: () => {
      grey.invert = !grey.invert;
      viewer.changed();
    },
    r: () => viewer.resetView(),
    s: () => viewer.goTo(info.start),
    v: () => viewer.stage.focus(),
    w: () => back.toggle(),
  };
  if (viewer.canvases.heat) {
    Object.assign(acts, {
      h: () => viewer.set({ heatOn: !viewer.heatOn }),
      j: () => viewer.set({ opacity: Math.max(0, viewer.opacity - 0.1), heatOn: true }),
      k: () => viewer.set({ opacity: Math.min(1, viewer.opacity + 0.1), heatOn: true }),
      c: () => viewer.set({ contour: !viewer.contour }),
      m: () => viewer.set({ side: !viewer.side }),
    });
    info.labels.forEach((_, place) => {
      acts[place + 1] = () => viewer.set({ label: place, heatOn: true });
    });
  }
  const act = acts[key.toLowerCase()];
  act?.();
  return Boolean(act);
}
