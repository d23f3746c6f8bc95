// Heat of a class on a slice: the network's coarse grid, drawn as the server draws it.

const STOPS = [
  "440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6dcd59", "b4de2c",
  "fde725",
].map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

// viridis, 256 colours: the colour-blind can read it, and it stays ordered in grey.
export const COLOURS = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((from, i) => from + (STOPS[low + 1][i] - from) * (place - low));
});

const LONGEST = 320; // of a field; it is smooth, more would show nothing more

// Returns the heat (0..1) on a raster over the slice's picture: bilinear between the centres
// of the grid's cells, 0 outside the head crop.
//   grid: uint8 (h, w, 4) of one slice; label: 0..3; size: [h, w] of the grid;
//   box: [top, left, side] of the crop and view: [height, width], in pixels of the picture.
export function heatField(grid, label, size, box, view) {
  const [rows, columns] = size;
  const [top, left, side] = box;
  const scale = Math.min(1, LONGEST / Math.max(...view));
  const height = Math.max(1, Math.round(view[0] * scale));
  const width = Math.max(1, Math.round(view[1] * scale));
  const values = new Float32Array(height * width);
  const across = axis(width, view[1] / width, left, side, columns);
  for (let y = 0; y < height; y++) {
    const down = place((y + 0.5) * (view[0] / height), top, side, rows);
    if (!down) continue;
    for (let x = 0; x < width; x++) {
      if (!across[x]) continue;
      const at = (row, column) => grid[(row * columns + column) * 4 + label];
      const [c0, c1, cs] = across[x];
      const [r0, r1, rs] = down;
      const upper = at(r0, c0) * (1 - cs) + at(r0, c1) * cs;
      const lower = at(r1, c0) * (1 - cs) + at(r1, c1) * cs;
      values[y * width + x] = (upper * (1 - rs) + lower * rs) / 255;
    }
  }
  return { values, width, height, scale: view[1] / width };
}

const axis = (count, step, start, side, cells) =>
  Array.from({ length: count }, (_, i) => place((i + 0.5) * step, start, side, cells));

// The two cells around a pixel, and how far it is from the first; null outside the crop.
function place(pixel, start, side, cells) {
  const at = ((pixel - start) * cells) / side - 0.5;
  if (at < -0.5 || at > cells - 0.5) return null;
  const inside = Math.min(Math.max(at, 0), cells - 1);
  const low = Math.floor(inside);
  return [low, Math.min(low + 1, cells - 1), inside - low];
}

// Returns a canvas with the field in colour; opacity grows with the heat, so that a place
// without evidence shows the slice as it is.
export function heatPicture(field) {
  const canvas = new OffscreenCanvas(field.width, field.height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(field.width, field.height);
  field.values.forEach((heat, i) => {
    const colour = COLOURS[Math.round(heat * 255)];
    image.data.set(colour, i * 4);
    image.data[i * 4 + 3] = 255 * Math.sqrt(heat);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

// Returns the line where the field crosses `level`, in pixels of the slice's picture
// (marching squares).
export function contour(field, level = 0.5) {
  const { values, width, height, scale } = field;
  const path = new Path2D();
  const share = (a, b) => (level - a) / (b - a);
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const i = y * width + x;
      const [a, b, c, d] = [values[i], values[i + 1], values[i + width + 1], values[i + width]];
      const above = (a > level) + (b > level) + (c > level) + (d > level);
      if (above === 0 || above === 4) continue;
      const points = [];
      if (a > level !== b > level) points.push([x + share(a, b), y]);
      if (b > level !== c > level) points.push([x + 1, y + share(b, c)]);
      if (d > level !== c > level) points.push([x + share(d, c), y + 1]);
      if (a > level !== d > level) points.push([x, y + share(a, d)]);
      for (let k = 0; k + 1 < points.length; k += 2) {
        path.moveTo((points[k][0] + 0.5) * scale, (points[k][1] + 0.5) * scale);
        path.lineTo((points[k + 1][0] + 0.5) * scale, (points[k + 1][1] + 0.5) * scale);
      }
    }
  }
  return path;
}

// Returns the middle and radius of what is above half, in pixels of the slice's picture.
export function hotSpot(field) {
  let [count, x, y] = [0, 0, 0];
  field.values.forEach((heat, i) => {
    if (heat < 0.5) return;
    count++;
    x += i % field.width;
    y += Math.floor(i / field.width);
  });
  if (!count) return null;
  const { scale } = field;
  return {
    x: (x / count + 0.5) * scale,
    y: (y / count + 0.5) * scale,
    radius: Math.sqrt(count / Math.PI) * scale,
  };
}
