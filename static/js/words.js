// Words and numbers for people, and small helpers to build the page.

// A share of 1: one decimal, and never a certainty.
export function percent(share) {
  if (share > 0.999) return "> 99.9 %";
  if (share < 0.001) return "< 0.1 %";
  return `${(share * 100).toFixed(1)} %`;
}

export function mib(bytes) {
  return (bytes / 1048576).toFixed(1);
}

// Builds an element; text becomes text, never markup.
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function bar(share, kind, top, height) {
  const rect = document.createElementNS(SVG, "rect");
  const values = { class: kind, x: 0, y: top, height, rx: 2, width: `${(share * 100).toFixed(2)}%` };
  for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value);
  return rect;
}

export function bars(...content) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.append(...content);
  return svg;
}

export function download(blob, name) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  // Not at once: the browser may not have begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
