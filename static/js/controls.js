// The buttons, sliders and words around the canvases.

import { percent } from "./words.js";

export function addControls(viewer) {
  const part = (id) => document.getElementById(id);
  const on = (id, event, act) => part(id)?.addEventListener(event, act);
  const { info } = viewer;

  if (part("classes")) part("classes").replaceChildren(...info.names.map(classChoice));
  on("opacity", "input", (event) => viewer.set({ opacity: event.target.value / 100, heatOn: true }));
  on("contour", "click", () => viewer.set({ contour: !viewer.contour }));
  on("side", "click", () => viewer.set({ side: !viewer.side }));
  on("zoom-more", "click", () => viewer.zoomBy(1.25));
  on("zoom-less", "click", () => viewer.zoomBy(1 / 1.25));
  on("contrast-more", "click", () => viewer.setWindow(viewer.grey.width - 16, viewer.grey.level));
  on("contrast-less", "click", () => viewer.setWindow(viewer.grey.width + 16, viewer.grey.level));
  on("bright-more", "click", () => viewer.setWindow(viewer.grey.width, viewer.grey.level - 8));
  on("bright-less", "click", () => viewer.setWindow(viewer.grey.width, viewer.grey.level + 8));
  on("move", "click", () => {
    press("move", viewer.stage.classList.toggle("moves"));
  });
  on("reset", "click", () => viewer.resetView());
  on("invert", "click", () => {
    viewer.grey.invert = !viewer.grey.invert;
    viewer.changed();
  });
  on("slice", "input", (event) => viewer.goTo(event.target.value - 1));
  on("strongest", "click", () => viewer.goTo(info.start));
  viewer.addEventListener("change", show);
  viewer.addEventListener("slice", () => {
    showSlice();
    clearTimeout(speaking);
    // A screen reader hears where the scrolling ends, not every slice on the way.
    speaking = setTimeout(say, 250);
  });
  let speaking = 0;
  showSlice();
  say();
  show();

  function classChoice(name, place) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio", name: "class", value: info.labels[place], checked: place === viewer.label,
    });
    input.addEventListener("change", () => viewer.set({ label: place, heatOn: true }));
    const words = document.createElement("span");
    words.textContent = name;
    label.append(input, words);
    return label;
  }

  function show() {
    const { width, level } = viewer.grey;
    part("window").textContent = `W ${Math.round(width)}  L ${Math.round(level)}  ·  ${Math.round(viewer.zoom * 100)} %`;
    viewer.stage.classList.toggle("side", viewer.side);
    const [plain, heat] = viewer.stage.querySelectorAll("figcaption");
    plain.textContent = viewer.filled ? "Slice without the region" : "Slice";
    if (heat) heat.textContent = viewer.filled && !viewer.side ? "Slice without the region" : "Grad-CAM over the slice";
    press("contour", viewer.contour);
    press("side", viewer.side);
    press("invert", viewer.grey.invert);
    if (!part("classes")) return;
    const radio = part("classes").querySelectorAll("input")[viewer.label];
    radio.checked = true;
    const opacity = viewer.heatOn ? Math.round(viewer.opacity * 100) : 0;
    part("opacity").value = opacity;
    part("opacity-said").textContent = `${opacity} %`;
    write("place", placeWords());
  }

  function placeWords() {
    const name = info.names[viewer.label];
    if (!viewer.hasHeat) return "No heatmap: this slice is not like those that the model knows.";
    const place = viewer.facts.places[viewer.label];
    if (!place) return `No positive evidence for ${name} in this slice.`;
    return `Strongest evidence for ${name}: ${place}.`;
  }

  function showSlice() {
    const [height, width] = viewer.facts.shape;
    part("at").textContent = `${width} × ${height}`;
    if (!part("slice")) return;
    part("slice").value = viewer.slice + 1;
    part("slice").setAttribute("aria-valuetext", `slice ${viewer.slice + 1} of ${viewer.count}`);
    part("slice-number").textContent = viewer.slice + 1;
  }

  function say() {
    if (!part("slice-said")) return;
    const { familiar, shares } = viewer.facts;
    let words = "not like the slices that this model knows";
    if (familiar && info.familiar) {
      const ranked = shares.map((share, i) => [share, info.names[i]]).sort((a, b) => b[0] - a[0]);
      words = ranked.slice(0, 2).map(([share, name]) => `${name} ${percent(share)}`).join(", ");
    } else if (familiar) {
      words = "like the slices that this model knows, but too few of its neighbours are";
    }
    write("slice-said", `Slice ${viewer.slice + 1} alone: ${words}.`);
  }

  function press(id, state) {
    part(id)?.setAttribute("aria-pressed", String(state));
  }

  // Written only when it changes: a live region is read out each time.
  function write(id, words) {
    if (part(id).textContent !== words) part(id).textContent = words;
  }
}

// The curve that the server drew: a click goes to a slice, and the line follows the slice.
export function addCurve(viewer) {
  const curve = document.querySelector(".curve");
  if (!curve) return;
  const mark = curve.querySelector(".mark");
  curve.classList.add("clicks");
  curve.addEventListener("click", (event) => {
    const frame = curve.getBoundingClientRect();
    const share = (event.clientX - frame.left) / frame.width;
    viewer.goTo(Math.floor(share * viewer.count));
  });
  const follow = () => {
    const x = ((viewer.slice + 0.5) / viewer.count) * curve.viewBox.baseVal.width;
    mark.setAttribute("x1", x);
    mark.setAttribute("x2", x);
    document.getElementById("curve-at").textContent = viewer.slice + 1;
  };
  viewer.addEventListener("slice", follow);
  follow();
}
