"""Take the pictures of the page in docs/, with the real server and heads drawn by code.

    python scripts/screenshot.py [--out docs] [--only answer study ...]

Writes page.png (the answer) and a picture of each state into screens/. What the model says
of the drawings is its real answer. Needs requirements-dev.txt and Chromium
(apt-get install chromium).
"""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png
from brain_cnn.web import create_app

READY = "#viewer[data-painted]"
_WAIT_MS = 60_000


class State(NamedTuple):
    """One picture: its name, what brings the page there, and how wide and in which colours."""

    name: str
    reach: Callable[[Page], Any]
    width: int = 1280
    height: int = 800
    scheme: Literal["dark", "light"] = "dark"


def drawn(label: str, seed: int, name: str = "") -> Any:
    """Return the PNG file of a drawn head, as Playwright takes files."""
    data = encode_png(draw_phantom(label, seed))
    return {"name": name or f"{label}.png", "mimeType": "image/png", "buffer": data}


def drawn_study(count: int = 24) -> Any:
    """Return a TIFF of `count` pages: a head whose middle slices show a lesion."""
    head, lesion = draw_phantom("notumor", 5), draw_phantom("glioma", 5)
    shown = [lesion if count // 3 <= i < 2 * count // 3 else head for i in range(count)]
    pages = [Image.fromarray(pixels) for pixels in shown]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return {"name": "study.tiff", "mimeType": "image/tiff", "buffer": file.getvalue()}


def foreign() -> Any:
    """Return the PNG file of a picture that is no head at all."""
    rows, columns = np.mgrid[0:224, 0:224]
    pixels = (127 + 120 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint8)
    return {"name": "pattern.png", "mimeType": "image/png", "buffer": encode_png(pixels)}


def answer(page: Page, *files: Any) -> None:
    """Choose files, wait until the answer is painted."""
    page.set_input_files("#file", list(files))
    page.wait_for_selector(READY)


def ask_back(page: Page) -> None:
    """Mark the strongest evidence and ask what would be without it."""
    answer(page, drawn("glioma", 3))
    page.click("#mark")
    page.click("#ask")
    page.wait_for_selector("#moved:visible")


def batch(page: Page) -> None:
    """Choose several files, one of them damaged."""
    damaged = drawn("glioma", 3, "damaged.png")
    damaged["buffer"] = damaged["buffer"][:300]
    names = ("glioma", "meningioma", "pituitary")
    page.set_input_files("#file", [*(drawn(n, 1) for n in names), damaged])
    page.wait_for_selector("#csv:visible")
    page.wait_for_selector(READY)


def overlay_only(page: Page) -> None:
    """Show one picture alone, for another class."""
    answer(page, drawn("meningioma", 1))
    page.keyboard.press("m")


def fail(page: Page) -> None:
    """Choose a damaged file alone."""
    damaged = drawn("glioma", 3, "damaged.png")
    damaged["buffer"] = damaged["buffer"][:300]
    page.set_input_files("#file", [damaged])
    page.wait_for_selector(".refused")


def busy(page: Page) -> None:
    """Show what stands there while the server is busy."""
    page.route("**/view", lambda route: route.fulfill(status=503, headers={"Retry-After": "20"}))
    page.set_input_files("#file", [drawn("glioma", 3)])
    page.wait_for_selector("text=The server is busy")


STATES = (
    State("start", lambda page: None),
    State("start-light", lambda page: None, scheme="light"),
    State("answer", lambda page: answer(page, drawn("glioma", 3))),
    State("answer-light", lambda page: answer(page, drawn("glioma", 3)), scheme="light"),
    State("overlay", overlay_only),
    State("study", lambda page: answer(page, drawn_study())),
    State("asked-back", ask_back),
    State("batch", batch, scheme="light"),
    State("refused", lambda page: answer(page, foreign())),
    State("no-answer", fail),
    State("busy", busy),
    State("keys", lambda page: page.keyboard.press("?")),
    State("model", lambda page: page.goto(f"{page.url}model")),
    State("phone", lambda page: answer(page, drawn("glioma", 3)), 360, 740),
    State("wall", lambda page: answer(page, drawn("glioma", 3)), 3840, 2160),
)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder")
    names = [state.name for state in STATES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="STATE")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here; install it with: apt-get install chromium", file=sys.stderr)
        return 2
    (options.out / "screens").mkdir(parents=True, exist_ok=True)
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    logging.disable(logging.INFO)  # a line for each request
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for state in STATES:
            if state.name not in options.only:
                continue
            page = browser.new_page(
                viewport={"width": state.width, "height": state.height}, color_scheme=state.scheme
            )
            page.set_default_timeout(_WAIT_MS)
            page.goto(f"http://127.0.0.1:{server.port}")
            state.reach(page)
            page.wait_for_timeout(300)
            said = page.inner_text("h1 >> nth=0")
            paths = [options.out / "screens" / f"{state.name}.png"]
            if state.name == "answer":
                paths.append(options.out / "page.png")
            save(page.screenshot(full_page=state.name != "wall"), state.width, paths)
            page.close()
            print(f"{paths[0]}: {said}")
        browser.close()
    server.shutdown()
    return 0


def save(data: bytes, width: int, paths: list[Path]) -> None:
    """Store a screenshot: page.png as it is, the others with 256 colours to stay small."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    if width > 2000:  # a wall display's, at a third of its size
        picture = picture.reduce(3)
    for path in paths:
        few = picture
        if path.name != "page.png":
            # Covers rare colours too, such as those of the heat's scale.
            few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
