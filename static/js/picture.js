// One slice as grey values, painted through the window that the reader chose.

export class Picture {
  constructor(width, height, grey) {
    this.width = width;
    this.height = height;
    this.grey = grey;
    this.canvas = new OffscreenCanvas(width, height);
    this.painted = "";
  }

  static async from(blob) {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", {
      willReadFrequently: true,
    });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    const grey = new Uint8Array(width * height);
    for (let i = 0; i < grey.length; i++) grey[i] = data[i * 4];
    return new Picture(width, height, grey);
  }

  // Returns a canvas with the slice in a window of `width` grey levels around `level`.
  paint({ width, level, invert }) {
    const wanted = `${width} ${level} ${invert}`;
    if (wanted === this.painted) return this.canvas;
    const table = new Uint32Array(256);
    for (let value = 0; value < 256; value++) {
      const share = Math.min(1, Math.max(0, (value - (level - width / 2)) / width));
      const shade = Math.round((invert ? 1 - share : share) * 255);
      table[value] = 0xff000000 | (shade << 16) | (shade << 8) | shade;
    }
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[this.grey[i]];
    context.putImageData(image, 0, 0);
    this.painted = wanted;
    return this.canvas;
  }
}
