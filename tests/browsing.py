"""A real browser for the tests of the page, and what they do in it again and again."""

import base64
import io
import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from werkzeug.serving import make_server

from brain_cnn.web import create_app
from brain_cnn.web.settings import Settings

# The headless shell is the same browser without its windows: lighter, where it is installed.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next((path for name in _NAMES if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; install it with: apt-get install chromium"
)
READY = "#viewer[data-painted]"


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def expect():
    """Playwright's `expect`: waits until what it says holds, for as long as a page may take."""
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=60_000)
    return playwright.expect


@pytest.fixture
def open_page(browser, server):
    """Return a function that opens the start page; at the end nothing may have complained."""
    contexts, complaints = [], []

    def open_it(url=None, expected=(), **options):
        url = url or server.url
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)  # a machine that is busy is no failure
        page = context.new_page()
        # An answer with an error status is written to the console by Chromium itself.
        allowed = ("status of 4", *expected)
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text)
                if m.type in ("error", "warning") and not any(a in m.text for a in allowed)
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith((url, "data:", f"blob:{url}"))
                else None
            ),
        )
        page.goto(url)
        contexts.append(context)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == [], "console errors, blocked content, or requests to another host"


@pytest.fixture
def serve():
    """Return a function that serves a classifier in this process and returns the address."""
    servers = []

    def start(classifier, **settings):
        app = create_app(Settings(**settings), classifier)
        running = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        servers.append(running)
        return f"http://127.0.0.1:{running.port}"

    yield start
    for running in servers:
        running.shutdown()
        running.server_close()


def file_of(data, name="slice.png"):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def volume_of(phantom, count):
    """Return a TIFF of `count` pages, each a little different."""
    pages = [Image.fromarray(np.roll(phantom, shift, 0)) for shift in range(count)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()


def choose(page, *files):
    """Choose files as a person does in the chooser's window; wait for nothing."""
    page.set_input_files("#file", [f if isinstance(f, dict) else file_of(f) for f in files])


def answer(page, *files):
    """Choose files and wait until an answer to them is painted."""
    forget_painted(page)
    choose(page, *files)
    page.wait_for_selector(READY)


def forget_painted(page):
    """Make `READY` wait for the next answer: the one that is shown is ready already."""
    page.evaluate(
        "(ready) => document.querySelector(ready)?.removeAttribute('data-painted')", READY
    )


def note_states(page):
    """Keep what the list of uploads says, in `states_said`, however briefly it says it."""
    page.evaluate(
        """() => {
            window.said = [];
            const note = () => {
                for (const state of document.querySelectorAll(".item-state"))
                    if (state.textContent !== said.at(-1)) said.push(state.textContent);
            };
            new MutationObserver(note).observe(document.getElementById("items"),
                {subtree: true, childList: true, characterData: true});
        }"""
    )


def states_said(page):
    """Return the words of the uploads since `note_states`, in their order."""
    return page.evaluate("said")


def transfer(page, files):
    """Return a DataTransfer in the page that holds (name, bytes) as files."""
    return page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files)
                transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            return transfer;
        }""",
        [[name, list(data)] for name, data in files],
    )


def drop(page, *files):
    page.dispatch_event("body", "drop", {"dataTransfer": transfer(page, files)})


def frame(page):
    """Wait until what was asked for is painted."""
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def drawing(page, canvas="heat"):
    """Return what a canvas shows, as a data URI."""
    frame(page)
    return page.evaluate("(id) => document.getElementById(id).toDataURL()", canvas)


def wait_for_other_drawing(page, before, canvas="heat"):
    """Wait until a canvas shows something else than `before`, of `drawing`."""
    page.wait_for_function(
        "([id, before]) => document.getElementById(id).toDataURL() !== before", arg=[canvas, before]
    )


def pixels(page, canvas="heat"):
    """Return int (H, W, 3) in 0..255, what a canvas shows."""
    url = drawing(page, canvas)
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(picture.convert("RGB")).astype(int)
