"""Uploads in a real browser, against the real server."""

import numpy as np
import pytest
from browsing import (
    READY,
    answer,
    choose,
    drop,
    file_of,
    forget_painted,
    needs_browser,
    note_states,
    states_said,
    transfer,
    volume_of,
)
from conftest import encode

pytestmark = needs_browser


@pytest.mark.parametrize("javascript", [True, False])
def test_chosen_slice_is_answered_with_and_without_javascript(
    open_page, confident, phantom_png, javascript
):
    page = open_page(java_script_enabled=javascript)
    if javascript:
        answer(page, phantom_png)
    else:
        choose(page, phantom_png)
        page.click("#upload button[type=submit] >> nth=0")
        page.wait_for_selector(".views img")
        assert page.locator(".views img").count() == 2
    diagnosis = confident.classify(phantom_png)
    assert f"{diagnosis.confidence * 100:.1f} %" in page.inner_text(".number")
    assert page.locator(".bars tr").count() == 4
    assert diagnosis.has_evidence(diagnosis.label) and page.locator(".scale").is_visible()


def test_choose_button_opens_the_chooser(open_page, phantom_png):
    page = open_page()
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(file_of(phantom_png))
    page.wait_for_selector(READY)


def test_dropped_slice_is_answered_and_announced(open_page, phantom_png):
    page = open_page()
    drop(page, ("slice.png", phantom_png))
    page.wait_for_selector(READY)
    assert page.evaluate("document.activeElement.id") == "headline"
    assert page.title().endswith("· Brain CNN") and len(page.title()) > 12


def test_pasted_picture_is_answered(open_page, phantom_png):
    page = open_page()
    page.evaluate(
        """(transfer) => document.dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}))""",
        transfer(page, [("image.png", phantom_png)]),
    )
    page.wait_for_selector(READY)


def test_folder_is_searched_for_slices(open_page, phantom_png, tmp_path):
    folder = tmp_path / "study"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "one.png").write_bytes(phantom_png)
    (folder / ".DS_Store").write_bytes(b"junk")
    page = open_page()
    page.set_input_files("#folder", folder)
    page.wait_for_selector(READY)
    assert page.locator(".item").count() == 1, "what is no slice is left out"


def test_batch_with_one_bad_file_answers_all_others(open_page, expect, phantom_png):
    page = open_page()
    sent, kept_back = [], []

    def keep_the_third_back(route):
        sent.append(route)
        if len(sent) == 3:
            kept_back.append(route)
        else:
            route.continue_()

    # The first answer that comes is opened: it shall be that of the first file.
    page.route("**/view", keep_the_third_back)
    choose(
        page,
        file_of(phantom_png, "first.png"),
        file_of(phantom_png[:300], "broken.png"),
        file_of(phantom_png, "last.png"),
    )
    first = page.locator(".item-open").nth(0)
    expect(first).to_have_attribute("aria-current", "true")
    page.wait_for_selector(READY)
    expect(page.locator("#status")).to_have_text("2 of 3 done, 1 without an answer")
    while not kept_back:  # until the browser has asked
        page.evaluate("0")
    kept_back[0].continue_()
    page.wait_for_selector("#csv:visible")
    expect(page.locator("#status")).to_have_text("3 of 3 done, 1 without an answer")
    expect(first).to_have_attribute("aria-current", "true")
    states = page.locator(".item-state").all_inner_texts()
    assert len(states) == 3 and states[0] == states[2] != states[1]
    assert "truncated or damaged" in states[1]
    page.click(".item-open >> nth=1")
    expect(page.locator(".refused h2")).to_contain_text("truncated or damaged")
    forget_painted(page)
    page.click(".item-open >> nth=2")
    page.wait_for_selector(READY)
    expect(page.locator(".item-open").nth(2)).to_have_attribute("aria-current", "true")
    with page.expect_download() as download:
        page.click("#csv")
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("upload,file,")
    assert lines[1].startswith('"first.png",') and lines[2].startswith('"last.png",')


def test_sample_is_answered_by_a_click_with_and_without_javascript(open_page):
    page = open_page()
    page.click("button[value=drawn-glioma]")
    page.wait_for_selector(READY)
    plain = open_page(java_script_enabled=False)
    plain.click("button[value=drawn-glioma]")
    plain.wait_for_selector(".views img")
    assert page.inner_text("#headline") == plain.inner_text("#headline")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"hello there", "not an image"), (bytes(2_200_000), "the limit is 2 MiB")],
)
def test_wrong_file_is_told_before_it_is_sent(open_page, phantom_png, data, words):
    page = open_page()
    posts = []
    page.on("request", lambda request: posts.append(request.method))
    choose(page, data)
    page.wait_for_selector(".refused")
    assert words in page.inner_text(".refused h2")
    answer(page, phantom_png)
    assert posts.count("POST") == 1, "that of the slice, sent after it"


def test_damaged_file_gets_the_server_s_sentence_and_another_try(open_page, phantom_png):
    page = open_page()
    choose(page, phantom_png[:300])
    page.wait_for_selector(".refused")
    assert "truncated or damaged" in page.inner_text(".refused")
    answer(page, phantom_png)


def test_too_large_without_javascript_is_a_readable_page(open_page):
    page = open_page(java_script_enabled=False)
    # Over the limit of the request, not only of the file: refused before it is read.
    choose(page, b"\x89PNG\r\n\x1a\n" + bytes(6_000_000))
    page.click("#upload button[type=submit] >> nth=0")
    page.wait_for_selector(".refused")
    assert "the limit is 4 MiB" in page.inner_text(".refused")


def test_busy_server_is_asked_again_after_the_time_that_it_named(open_page, phantom_png):
    page = open_page(expected=["status of 503"])
    left = [1]

    def busy(route):
        if left and left.pop():
            route.fulfill(
                status=503,
                headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
                body='{"detail": "The server is busy."}',
            )
        else:
            route.continue_()

    page.route("**/view", busy)
    note_states(page)
    answer(page, phantom_png)
    assert "The server is busy: trying again in 1 s" in states_said(page)


def test_offline_is_said_and_can_be_tried_again(open_page, phantom_png):
    page = open_page(expected=["ERR_INTERNET_DISCONNECTED"])
    page.context.set_offline(True)
    choose(page, phantom_png)
    page.wait_for_selector(".refused")
    assert "offline" in page.inner_text(".refused h2")
    page.context.set_offline(False)
    page.click(".item-retry")
    page.wait_for_selector(".item.confident", state="attached")


def test_upload_can_be_cancelled(open_page, expect, phantom_png):
    page = open_page(expected=["ERR_"])
    page.route("**/view", lambda route: None)  # never answered
    choose(page, phantom_png)
    page.click(".item-cancel")  # waits until the button is there
    expect(page.locator(".item-state")).to_have_text("Cancelled")
    expect(page.locator(".item-retry")).to_be_visible()
    page.unroute_all(behavior="ignoreErrors")


def test_reload_says_that_nothing_was_kept(open_page, expect, phantom_png):
    page = open_page()
    assert page.locator("#notice").is_hidden()
    answer(page, phantom_png)
    page.reload()
    expect(page.locator("#notice")).to_contain_text("Nothing of your upload was kept")


@pytest.mark.parametrize("javascript", [True, False])
def test_volume_gets_a_study_answer_and_its_slices(open_page, phantom, javascript):
    page = open_page(java_script_enabled=javascript)
    choose(page, volume_of(phantom, 12))
    if not javascript:
        page.click("#upload button[type=submit] >> nth=0")
    page.wait_for_selector(".curve")
    assert "study of 12 slices" in page.inner_text(".badge")
    assert page.locator(".rows tbody tr").count() == 12
    assert page.locator(".curve polyline").count() >= 4


@pytest.mark.parametrize("width", [360, 768, 3840])
def test_no_width_needs_sideways_scrolling(open_page, phantom, width):
    page = open_page(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    answer(page, volume_of(phantom, 4))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bars = page.eval_on_selector_all(
        ".bars svg", "all => all.map(s => s.getBoundingClientRect().width)"
    )
    assert min(bars) >= 100, "the bars can be compared"


def test_theme_follows_the_system_until_a_person_chooses(open_page):
    def ground(page):
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return np.mean([int(x) for x in colour[4:-1].split(",")])

    for javascript in (True, False):
        assert ground(open_page(color_scheme="dark", java_script_enabled=javascript)) < 40
    page = open_page(color_scheme="light")
    assert ground(page) > 200
    page.click("#theme")
    assert ground(page) < 40
    page.reload()
    assert ground(page) < 40, "the choice is remembered"
    assert page.context.cookies() == [], "without a cookie"


def test_form_works_by_keyboard_without_javascript(open_page, phantom):
    page = open_page(java_script_enabled=False)
    page.focus("#file")
    choose(page, encode(phantom))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict")
