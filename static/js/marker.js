// Marking a region: drawn freely with the pointer, or a circle that the keys move.

const CIRCLE_POINTS = 48;
const MOST_POINTS = 400;
const NEAREST = 1.5; // pixels of the picture between two points of a drawn line

export class Marker {
  // changed(): called when the region is another one.
  constructor(viewer, changed) {
    Object.assign(this, { viewer, changed, active: false, drawing: false, circle: null });
    viewer.addEventListener("slice", () => this.forget());
  }

  start() {
    this.active = true;
    this.viewer.stage.classList.add("holds");
    this.putCircle();
  }

  stop() {
    this.active = false;
    this.viewer.stage.classList.remove("holds");
    this.forget();
    this.viewer.set({ region: null });
  }

  forget() {
    this.circle = null;
    this.drawing = false;
    this.viewer.region = null;
    this.changed();
  }

  get points() {
    return this.viewer.region?.closed ? this.viewer.region.points : null;
  }

  // Begins with the question that is asked most: without what the heat points at?
  putCircle(centre = null) {
    const { viewer } = this;
    const { width, height } = viewer.picture;
    const spot = viewer.hasHeat ? viewer.heat().spot : null;
    this.circle = spot
      ? { x: spot.x, y: spot.y, radius: spot.radius * 1.15 }
      : { x: width / 2, y: height / 2, radius: Math.min(width, height) / 8 };
    if (centre) [this.circle.x, this.circle.y] = centre;
    this.drawCircle();
  }

  drawCircle() {
    const { circle, viewer } = this;
    const { width, height } = viewer.picture;
    const inside = (value, most) => Math.min(most, Math.max(0, value));
    circle.x = inside(circle.x, width);
    circle.y = inside(circle.y, height);
    circle.radius = Math.min(Math.min(width, height) / 2, Math.max(width / 60, circle.radius));
    const points = Array.from({ length: CIRCLE_POINTS }, (_, i) => {
      const turn = (i / CIRCLE_POINTS) * 2 * Math.PI;
      return [
        inside(circle.x + circle.radius * Math.cos(turn), width),
        inside(circle.y + circle.radius * Math.sin(turn), height),
      ];
    });
    viewer.set({ region: { points, closed: true } });
    this.changed();
  }

  // Moves and resizes the circle, in shares of the picture's width.
  nudge(x, y, growth = 1) {
    if (!this.circle) this.putCircle();
    const step = this.viewer.picture.width / 60;
    this.circle.x += x * step;
    this.circle.y += y * step;
    this.circle.radius *= growth;
    this.drawCircle();
  }

  begin(point) {
    this.drawing = true;
    this.circle = null;
    this.viewer.set({ region: { points: [this.onPicture(point)], closed: false } });
  }

  extend(point) {
    const { points } = this.viewer.region;
    const [x, y] = this.onPicture(point);
    const [lastX, lastY] = points.at(-1);
    if (points.length >= MOST_POINTS || Math.hypot(x - lastX, y - lastY) < NEAREST) return;
    points.push([x, y]);
    this.viewer.changed();
  }

  end() {
    this.drawing = false;
    const { region } = this.viewer;
    if (!region) return;
    // A click without a drag puts the circle there.
    if (region.points.length < 3) this.putCircle(region.points[0]);
    else this.viewer.set({ region: { ...region, closed: true } });
    this.changed();
  }

  drop() {
    if (!this.drawing) return;
    this.drawing = false;
    this.viewer.set({ region: null });
  }

  onPicture({ x, y }) {
    const { width, height } = this.viewer.picture;
    return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  }
}
