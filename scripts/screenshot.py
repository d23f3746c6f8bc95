"""Take the pictures of the page in docs/, with the real server and a head drawn by code.

    python scripts/screenshot.py [--label glioma] [--seed 3] [--out docs/page.png]

Needs requirements-dev.txt and Chromium (apt-get install chromium).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.overlay import encode_png
from brain_cnn.web import create_app


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--label", choices=LABELS, default="glioma", help="what is drawn")
    parser.add_argument("--seed", type=int, default=3, help="of the drawing")
    parser.add_argument("--out", type=Path, default=Path("docs/page.png"))
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here; install it with: apt-get install chromium", file=sys.stderr)
        return 2
    slice_file = encode_png(draw_phantom(options.label, options.seed))
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="dark")
        page.goto(f"http://127.0.0.1:{server.port}")
        page.set_input_files(
            "#file", {"name": "phantom.png", "mimeType": "image/png", "buffer": slice_file}
        )
        page.click("button[type=submit]")
        headline = page.inner_text(".verdict #headline")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=options.out, full_page=True)
        browser.close()
    server.shutdown()
    print(f"{options.out}: {options.label} (seed {options.seed}) -> {headline}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
