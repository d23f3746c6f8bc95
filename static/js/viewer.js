// The viewer: the slice and the evidence on two canvases. It holds what is shown; the
// controls, keys and gestures only call it, and hear of changes through "change".

import { contour, heatField, heatPicture, hotSpot } from "./heat.js";
import { Picture } from "./picture.js";

const WHOLE = { width: 255, level: 127.5, invert: false };
const KEPT_PICTURES = 40; // decoded slices that are kept

export class Viewer extends EventTarget {
  // section: the #viewer element; data: { info, result, slices: [Blob], heat: Uint8Array | null }
  constructor(section, data) {
    super();
    this.section = section;
    this.data = data;
    this.info = data.info;
    this.stage = section.querySelector("#stage");
    this.canvases = { plain: section.querySelector("#plain"), heat: section.querySelector("#heat") };
    this.pictures = new Map();
    this.fields = new Map();
    this.label = Math.max(0, this.info.labels.indexOf(this.info.label));
    this.opacity = 0.7;
    this.contour = true;
    this.heatOn = true;
    this.side = Boolean(this.canvases.heat) && matchMedia("(min-width: 44rem)").matches;
    this.region = null; // { points: [[x, y]], closed } in pixels of the picture
    this.filled = null; // the Picture without the region
    this.slice = this.info.start;
    this.load(this.slice).then(() => this.changed());
    this.resetView();
    this.watcher = new ResizeObserver(() => this.draw());
    for (const canvas of Object.values(this.canvases)) if (canvas) this.watcher.observe(canvas);
  }

  get count() {
    return this.data.slices.length;
  }

  get facts() {
    return this.info.slices[this.slice];
  }

  close() {
    this.watcher.disconnect();
  }

  async goTo(slice) {
    const wanted = Math.min(this.count - 1, Math.max(0, slice));
    if (wanted === this.slice) return;
    this.slice = wanted;
    this.filled = null;
    this.region = null;
    this.dispatchEvent(new Event("slice"));
    await this.load(wanted);
    this.changed();
    for (const next of [wanted + 1, wanted - 1]) if (this.data.slices[next]) this.load(next);
  }

  async load(slice) {
    if (!this.pictures.has(slice)) {
      this.pictures.set(slice, Picture.from(this.data.slices[slice]));
      if (this.pictures.size > KEPT_PICTURES) this.pictures.delete(this.pictures.keys().next().value);
    }
    const picture = await this.pictures.get(slice);
    if (slice === this.slice) this.picture = picture;
    return picture;
  }

  set(values) {
    Object.assign(this, values);
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
    this.draw();
  }

  resetView() {
    this.grey = { ...WHOLE };
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.heatOn = true;
    this.changed();
  }

  setWindow(width, level) {
    this.grey.width = Math.min(510, Math.max(2, width));
    this.grey.level = Math.min(255, Math.max(0, level));
    this.changed();
  }

  // Zooms by a factor around a point of the picture (its middle if none), which stays in place.
  zoomBy(factor, point = null) {
    const before = this.zoom;
    this.zoom = Math.min(16, Math.max(0.5, this.zoom * factor));
    if (point && this.picture) {
      const away = { x: point.x - this.picture.width / 2, y: point.y - this.picture.height / 2 };
      this.pan.x += away.x * (before / this.zoom - 1);
      this.pan.y += away.y * (before / this.zoom - 1);
    }
    this.changed();
  }

  move(x, y) {
    this.pan.x += x;
    this.pan.y += y;
    this.changed();
  }

  // Whether the shown slice has heat that may be shown: no class is named for a strange slice.
  get hasHeat() {
    return Boolean(this.data.heat) && this.facts.familiar;
  }

  heat(slice = this.slice, label = this.label) {
    const key = slice * 4 + label;
    if (!this.fields.has(key)) {
      const { grid, slices } = this.info;
      const bytes = grid[0] * grid[1] * 4;
      const part = this.data.heat.subarray(slice * bytes, (slice + 1) * bytes);
      const field = heatField(part, label, grid, slices[slice].box, slices[slice].view);
      this.fields.set(key, {
        field, picture: heatPicture(field), contour: contour(field), spot: hotSpot(field),
      });
      if (this.fields.size > 4 * KEPT_PICTURES) this.fields.delete(this.fields.keys().next().value);
    }
    return this.fields.get(key);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (!this.picture) return;
      this.paint("plain");
      if (this.canvases.heat) this.paint("heat");
      if (!this.painted) {
        this.painted = true;
        performance.mark("overlay-painted");
        this.section.dataset.painted = "yes";
      }
    });
  }

  // How the picture lies on a canvas, in CSS pixels: place = point * scale + (x, y).
  geometry(canvas) {
    const { clientWidth: width, clientHeight: height } = canvas;
    const fit = Math.min(width / this.picture.width, height / this.picture.height);
    const scale = fit * this.zoom;
    return {
      scale,
      x: width / 2 + (this.pan.x - this.picture.width / 2) * scale,
      y: height / 2 + (this.pan.y - this.picture.height / 2) * scale,
    };
  }

  pointAt(canvas, event) {
    const frame = canvas.getBoundingClientRect();
    const { scale, x, y } = this.geometry(canvas);
    return { x: (event.clientX - frame.left - x) / scale, y: (event.clientY - frame.top - y) / scale };
  }

  paint(name) {
    const canvas = this.canvases[name];
    if (!canvas.clientWidth) return;
    const sharp = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * sharp, canvas.clientHeight * sharp].map(Math.round);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const { scale, x, y } = this.geometry(canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.setTransform(scale * sharp, 0, 0, scale * sharp, x * sharp, y * sharp);
    this.paintOn(context, name, scale);
  }

  // Paints the slice, with the evidence in the pane "heat", in pixels of the picture.
  paintOn(context, name, scale) {
    const alone = !this.side || !this.canvases.heat;
    const filled = this.filled && (name === "plain" || alone) ? this.filled : null;
    const picture = filled ?? this.picture;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const { width, height } = this.picture;
    context.drawImage(picture.paint(this.grey), 0, 0, width, height);
    if (name === "heat" && this.hasHeat && this.heatOn && !filled) {
      const heat = this.heat();
      context.globalAlpha = this.opacity;
      context.drawImage(heat.picture, 0, 0, width, height);
      context.globalAlpha = 1;
      if (this.contour) stroke(context, heat.contour, scale, "#fff", 1.6);
    }
    if (this.region && (name === "plain" || alone || !filled)) {
      const path = new Path2D();
      this.region.points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      if (this.region.closed) path.closePath();
      stroke(context, path, scale, "#ffd34d", 2.2, this.region.closed ? [7, 5] : []);
    }
  }
}

// Strokes with the same width at every zoom, dark beneath so that it shows on white too.
function stroke(context, path, scale, colour, width, dash = []) {
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = "rgba(0, 0, 0, 0.65)";
  context.lineWidth = (width + 2) / scale;
  context.stroke(path);
  context.setLineDash(dash.map((length) => length / scale));
  context.strokeStyle = colour;
  context.lineWidth = width / scale;
  context.stroke(path);
  context.setLineDash([]);
}
