// What a person may keep of an answer. Each file says that it is for research only.

import { formOf } from "./batch.js";
import { sendPatiently } from "./send.js";
import { download, percent } from "./words.js";

const SIDE = 900; // of the picture in the PNG, pixels

export function addKeep(viewer, item) {
  const said = document.getElementById("kept");
  for (const button of document.querySelectorAll("[data-keep]")) {
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "";
      try {
        const { blob, name } = await WAYS[button.dataset.keep](viewer, item);
        download(blob, name);
        said.textContent = `Saved as ${name}.`;
      } catch (error) {
        said.textContent = [error.message, error.hint].filter(Boolean).join(" ");
      } finally {
        button.disabled = false;
      }
    });
  }
}

const WAYS = {
  async pdf(viewer, item) {
    const form = () => {
      const fields = formOf(item);
      fields.append("slice_index", viewer.slice);
      return fields;
    };
    const response = await sendPatiently("report", form);
    return { blob: await response.blob(), name: "brain-cnn-report.pdf" };
  },
  async json(viewer, item) {
    const text = JSON.stringify({ results: [item.data.result] }, null, 2);
    return { blob: new Blob([text], { type: "application/json" }), name: "brain-cnn.json" };
  },
  async csv(viewer, item) {
    return { blob: await tableOf([item]), name: "brain-cnn.csv" };
  },
  async png(viewer, item) {
    return { blob: await pictureOf(viewer, item), name: "brain-cnn.png" };
  },
};

// One table of the answers of all items. The server writes the rows and knows no file names;
// the first column, with the names, is added here and stays on this computer.
export async function tableOf(items, heard = () => {}) {
  const table = [];
  for (const [place, item] of items.entries()) {
    heard(place + 1);
    const response = await sendPatiently("api/v1/predict?format=csv", () => formOf(item));
    const [head, ...rows] = (await response.text()).trimEnd().split("\r\n");
    if (!place) table.push(`upload,${head}`);
    for (const row of rows) table.push(`${cell(item.name)},${row}`);
  }
  return new Blob([`${table.join("\r\n")}\r\n`], { type: "text/csv" });
}

// Quoted, and never a formula for a spreadsheet.
function cell(text) {
  const plain = /^[=+\-@|%\s]/.test(text) ? `'${text}` : text;
  return `"${plain.replaceAll('"', '""').replace(/[\r\n]/g, " ")}"`;
}

async function pictureOf(viewer, item) {
  const { result } = item.data;
  const { width, height } = viewer.picture;
  const scale = SIDE / Math.max(width, height);
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  const said = result.study ?? result;
  const lines = [];
  if (viewer.info.familiar) {
    const shares = Object.entries(said.probabilities).sort((a, b) => b[1] - a[1]);
    const name = (label) => viewer.info.names[viewer.info.labels.indexOf(label)];
    lines.push(`${item.data.summary.headline} (${shares.map(([label, p]) => `${name(label)} ${percent(p)}`).join(", ")})`);
    lines.push(`Grad-CAM: evidence for ${viewer.info.names[viewer.label]}, line at half of the strongest`);
  } else lines.push(item.data.summary.headline);
  if (viewer.count > 1) lines.push(`Slice ${viewer.slice + 1} of ${viewer.count}`);
  lines.push(`Model ${result.model.name} ${result.model.version}, ${result.model.sha256.slice(0, 12)}`);
  lines.push(result.disclaimer);

  const canvas = new OffscreenCanvas(SIDE, high);
  const context = canvas.getContext("2d");
  context.font = "17px system-ui, sans-serif";
  const wrapped = lines.flatMap((line) => wrap(context, line, SIDE - 32));
  canvas.height = high + 24 + 25 * wrapped.length; // clears the font, too
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.save();
  context.translate((SIDE - wide) / 2, 0);
  context.beginPath();
  context.rect(0, 0, wide, high);
  context.clip();
  context.scale(scale, scale);
  viewer.paintOn(context, viewer.canvases.heat ? "heat" : "plain", scale);
  context.restore();
  context.font = "17px system-ui, sans-serif";
  context.fillStyle = "#fff";
  wrapped.forEach((line, i) => context.fillText(line, 16, high + 30 + 25 * i));
  return canvas.convertToBlob({ type: "image/png" });
}

function wrap(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
