"""The page in a real browser, against the real server."""

import io
import shutil

import numpy as np
import pytest
from conftest import encode
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; install it with: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, server):
    """Return a function that opens the start page; at the end nothing may have complained."""
    pages, complaints = [], []

    def open_it(expected_errors=0, **options):
        page = browser.new_page(**options)
        # A refused upload (4xx) is written to the console by Chromium itself.
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text)
                if m.type in ("error", "warning") and "status of 4" not in m.text
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith((server.url, "data:", "blob:"))
                else None
            ),
        )
        page.goto(server.url)
        pages.append(page)
        return page

    yield open_it
    for page in pages:
        page.close()
    assert complaints == [], "console errors, blocked content, or requests to another host"


def file_of(data, name="slice.png"):
    return {"name": name, "mimeType": "image/png", "buffer": data}


def send(page, data):
    page.set_input_files("#file", file_of(data))
    page.click("button[type=submit]")


def drop(page, data, count=1):
    transfer = page.evaluate_handle(
        """([bytes, count]) => {
            const transfer = new DataTransfer();
            for (let i = 0; i < count; i++)
                transfer.items.add(new File([new Uint8Array(bytes)], `s${i}.png`));
            return transfer;
        }""",
        [list(data), count],
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


@pytest.mark.parametrize("javascript", [True, False])
def test_chosen_slice_is_answered_with_and_without_javascript(
    open_page, confident, phantom_png, javascript
):
    page = open_page(java_script_enabled=javascript)
    send(page, phantom_png)
    page.wait_for_selector(".verdict")
    diagnosis = confident.classify(phantom_png)
    assert f"{diagnosis.confidence * 100:.1f} %" in page.inner_text(".number")
    assert page.locator(".bars tr").count() == 4
    assert page.locator(".views img").count() == 2
    assert page.locator(".scale").is_visible() or not diagnosis.has_evidence(diagnosis.label)


def test_pictures_are_really_drawn(open_page, phantom_png):
    page = open_page()
    send(page, phantom_png)
    page.wait_for_selector(".views img")
    widths = page.eval_on_selector_all(".views img", "all => all.map(i => i.naturalWidth)")
    assert widths == [224, 224]


def test_dropped_slice_is_answered_and_announced(open_page, phantom_png):
    page = open_page()
    drop(page, phantom_png)
    page.wait_for_selector(".verdict")
    assert page.evaluate("document.activeElement.id") == "headline"
    assert page.title().endswith("Brain CNN")


def test_second_slice_can_follow_the_first(open_page, phantom_png):
    page = open_page()
    for _ in range(2):
        send(page, phantom_png)
        page.wait_for_selector(".verdict")
        page.evaluate("document.querySelector('.verdict').classList.remove('verdict')")
    drop(page, phantom_png)
    page.wait_for_selector(".verdict")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"hello there", "not an image"), (bytes(2_200_000), "the limit is 2 MiB")],
)
def test_wrong_file_is_told_before_it_is_sent(open_page, data, words):
    page = open_page()
    posts = []
    page.on("request", lambda request: posts.append(request.method))
    page.set_input_files("#file", file_of(data))
    page.wait_for_selector("#problem:visible")
    assert words in page.inner_text("#problem")
    page.click("button[type=submit]")
    page.wait_for_timeout(200)
    assert "POST" not in posts


def test_several_dropped_files_get_an_answer_each(open_page, phantom_png):
    page = open_page()
    drop(page, phantom_png, count=2)
    page.wait_for_selector(".verdict")
    assert "Also in this upload" in page.inner_text("main")


@pytest.mark.parametrize("javascript", [True, False])
def test_volume_gets_a_study_answer_and_its_slices(open_page, phantom, javascript):
    page = open_page(java_script_enabled=javascript)
    pages = [Image.fromarray(np.roll(phantom, shift, 0)) for shift in range(40)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    send(page, file.getvalue())
    page.wait_for_selector(".curve")
    assert "study of 40 slices" in page.inner_text(".badge")
    assert page.locator(".rows tbody tr").count() == 40
    assert page.locator(".curve polyline").count() >= 4


def test_damaged_file_gets_the_server_s_sentence_and_another_try(open_page, phantom_png):
    page = open_page()
    send(page, phantom_png[:300])
    page.wait_for_selector(".refused")
    assert "truncated or damaged" in page.inner_text(".refused")
    send(page, phantom_png)
    page.wait_for_selector(".verdict")


def test_too_large_without_javascript_is_a_readable_page(open_page):
    page = open_page(java_script_enabled=False)
    # Over the limit of the request, not only of the file: refused before it is read.
    send(page, b"\x89PNG\r\n\x1a\n" + bytes(6_000_000))
    page.wait_for_selector(".refused")
    assert "the limit is 4 MiB" in page.inner_text(".refused")


@pytest.mark.parametrize("width", [360, 768, 3840])
def test_no_width_needs_sideways_scrolling(open_page, phantom_png, width):
    page = open_page(viewport={"width": width, "height": 800})
    send(page, phantom_png)
    page.wait_for_selector(".verdict")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bars = page.eval_on_selector_all(
        ".bars svg", "all => all.map(s => s.getBoundingClientRect().width)"
    )
    assert min(bars) >= 40, "the bars can be seen"


def test_dark_by_default_and_light_on_request(open_page):
    def ground(scheme):
        page = open_page(color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return np.mean([int(x) for x in colour[4:-1].split(",")])

    assert ground("dark") < 40 and ground("light") > 200


def test_form_works_by_keyboard(open_page, phantom):
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    page.set_input_files("#file", file_of(encode(phantom)))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict")
