// What can be told of files before they are sent, and which of them belong together.

import { mib } from "./words.js";

// First bytes that are surely none of ours; the server decides about all others by content.
const FOREIGN = [
  [[0x25, 0x50, 0x44, 0x46], "a PDF document"],
  [[0x52, 0x61, 0x72, 0x21], "a RAR archive"],
  [[0x37, 0x7a, 0xbc, 0xaf], "a 7z archive"],
];
// What a folder holds besides slices.
const CLUTTER = /(^|\/)(\.[^/]*|__MACOSX\/.*|Thumbs\.db|desktop\.ini|DICOMDIR)$/i;

export const withoutClutter = (files) =>
  files.filter((file) => !CLUTTER.test(file.webkitRelativePath || file.name));

const limits = () => {
  const { dataset } = document.getElementById("upload");
  return {
    bytes: Number(dataset.maxBytes), mib: dataset.maxMib, files: Number(dataset.maxFiles),
    requestBytes: Number(dataset.maxRequestBytes), requestMib: dataset.maxRequestMib,
  };
};

async function head(file) {
  try {
    return new Uint8Array(await file.slice(0, 512).arrayBuffer());
  } catch {
    return null;
  }
}

// Returns what is wrong with one file in one sentence, or "" if it may be sent.
function objection(file, start) {
  const limit = limits();
  if (!start) return "The file cannot be read. If it is a folder, choose the files in it.";
  if (file.size === 0) return "The file is empty. Choose another one.";
  if (file.size > limit.bytes) {
    return `The file has ${mib(file.size)} MiB; the limit is ${limit.mib} MiB. Export it at a smaller size.`;
  }
  for (const [bytes, name] of FOREIGN) {
    if (bytes.every((byte, place) => start[place] === byte)) {
      return `This is ${name}. Choose a picture, DICOM, NIfTI or a ZIP of a series.`;
    }
  }
  const text = start.every((b) => b === 9 || b === 10 || b === 13 || (b > 31 && b < 127));
  return text ? "This is a text file, not an image. Choose a picture, DICOM, NIfTI or a ZIP of a series." : "";
}

const isDicom = (start) => String.fromCharCode(...start.subarray(128, 132)) === "DICM";

// Returns the uploads to make of `files`: [{ files, name, problem }]. The DICOM files of one
// choice go together, since a series has one file a slice; all others go alone.
export async function uploadsOf(files) {
  const limit = limits();
  if (files.length > limit.files) {
    const problem = `These are ${files.length} files; the limit is ${limit.files}. Choose one series.`;
    return [{ files: [], name: `${files.length} files`, problem }];
  }
  const starts = await Promise.all(files.map(head));
  const uploads = [];
  const series = [];
  files.forEach((file, place) => {
    const problem = objection(file, starts[place]);
    if (!problem && isDicom(starts[place])) series.push(file);
    else uploads.push({ files: [file], name: file.name, problem });
  });
  if (!series.length) return uploads;
  const total = series.reduce((sum, file) => sum + file.size, 0);
  const problem = total > limit.requestBytes
    ? `Together the files have ${mib(total)} MiB; the limit is ${limit.requestMib} MiB.`
    : "";
  const name = series.length === 1 ? series[0].name : `${series.length} DICOM files`;
  return [{ files: series, name, problem }, ...uploads];
}
