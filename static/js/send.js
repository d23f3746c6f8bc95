// Sends a form and returns the answer; every way to fail becomes an error with a sentence.

export class Refused extends Error {
  // sentence and hint for people; again: whether the same request may work later;
  // wait: seconds to wait before, if the server said so.
  constructor(sentence, { hint = "", again = false, wait = 0, status = 0 } = {}) {
    super(sentence);
    Object.assign(this, { hint, again, wait, status });
  }
}

const GONE = {
  hint: "Check the connection. The server kept nothing of your file.",
  again: true,
};

// Posts `form`; `onUpload(share)` hears how far the sending is, 1 = the server has it all, and
// `onJudged(done, total)`, where it is given, how many slices are judged.
// Returns a Response. Throws Refused, or an AbortError when `signal` says so.
export function send(url, form, { onUpload = () => {}, onJudged = null, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch cannot say how far an upload is
    // From our root, wherever the page with the form is: an error page may lie deeper.
    request.open("POST", new URL(url, document.getElementById("upload").action));
    request.responseType = "blob";
    const lines = onJudged && new Lines(request, onJudged);
    const kinds = ["application/json", "multipart/form-data", "*/*;q=0.5"];
    if (onJudged) kinds.unshift("application/x-ndjson");
    request.setRequestHeader("Accept", kinds.join(", "));
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onUpload(event.loaded / event.total);
    };
    request.upload.onload = () => onUpload(1);
    request.onload = async () => {
      const kind = request.getResponseHeader("Content-Type") ?? "";
      let response = new Response(lines ? lines.bytes : request.response, {
        status: request.status, headers: { "Content-Type": kind },
      });
      if (response.ok && lines?.told) response = lines.answer();
      if (response.ok) resolve(response);
      else reject(await refusal(response, Number(request.getResponseHeader("Retry-After"))));
    };
    request.onerror = () => reject(unreachable());
    request.ontimeout = request.onerror;
    request.onabort = () => reject(new DOMException("Cancelled", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// Hears the lines of progress that come before an answer (web/progress.py on the server). Only
// text can be looked at while it arrives: as bytes it is text whose characters are the bytes.
class Lines {
  constructor(request, onJudged) {
    this.request = request;
    this.heard = 0; // characters
    this.ended = false; // the empty line was there: what follows is the answer
    request.responseType = "text";
    request.overrideMimeType("text/plain; charset=x-user-defined");
    request.onprogress = () => {
      if (this.told && !this.ended) this.hear(onJudged);
    };
  }

  get kind() {
    return this.request.getResponseHeader("Content-Type") ?? "";
  }

  get told() {
    return this.request.status === 200 && this.kind.startsWith("application/x-ndjson");
  }

  get bytes() {
    const text = this.request.responseText;
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  hear(onJudged = () => {}) {
    const text = this.request.responseText;
    for (let end; !this.ended && (end = text.indexOf("\n", this.heard)) >= 0; ) {
      const line = text.slice(this.heard, end);
      this.heard = end + 1;
      if (!line) this.ended = true;
      else {
        this.last = JSON.parse(line);
        if (this.last.total) onJudged(this.last.done, this.last.total);
      }
    }
  }

  // What follows the lines; where that is nothing, the last line says what went wrong.
  answer() {
    this.hear();
    if (!this.ended) {
      return new Response(JSON.stringify(this.last ?? {}), { status: this.last?.status ?? 500 });
    }
    const boundary = this.kind.split("boundary=")[1];
    return new Response(this.bytes.subarray(this.heard), {
      headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
    });
  }
}

const unreachable = () =>
  new Refused(
    navigator.onLine ? "The server cannot be reached." : "This computer is offline.", GONE,
  );

async function refusal(response, wait) {
  const { status } = response;
  let said = {};
  try {
    said = await response.json();
  } catch {
    // A proxy's own page: we have words of our own.
  }
  const again = [408, 429, 502, 503, 504].includes(status);
  const ours = {
    413: "The upload is too large for this server.",
    429: "Too many requests. Please wait a moment.",
    502: "The server does not answer at the moment.",
    503: "The server is busy at the moment.",
    504: "The server took too long.",
  };
  const sentence = said.detail ?? ours[status] ?? `The server could not answer (${status}).`;
  return new Refused(sentence, { hint: said.hint ?? "", again, wait: wait || 0, status });
}

// Tries again when the server is busy, after the time that it asks for. `onWait(seconds)`
// hears each second that is left, so that the page can say it.
export async function sendPatiently(url, makeForm, options = {}, tries = 3) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(url, makeForm(), options);
    } catch (error) {
      if (!(error.wait > 0 && error.wait <= 30) || attempt === tries) throw error;
      await waiting(Math.ceil(error.wait), options);
    }
  }
}

async function waiting(seconds, { onWait = () => {}, signal }) {
  for (let left = seconds; left > 0; left--) {
    onWait(left);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (signal?.aborted) throw new DOMException("Cancelled", "AbortError");
  }
}
