"""The viewer in a real browser: what a person does with the answer."""

import io
import json

import numpy as np
import pytest
from browsing import (
    READY,
    answer,
    drawing,
    forget_painted,
    needs_browser,
    pixels,
    volume_of,
    wait_for_other_drawing,
)
from PIL import Image

pytestmark = needs_browser


@pytest.fixture
def viewed(open_page, phantom_png):
    """Return the page with the answer of one slice."""
    page = open_page(viewport={"width": 1280, "height": 900})
    answer(page, phantom_png)
    return page


@pytest.fixture
def study(open_page, phantom):
    """Return the page with the answer of eight slices."""
    page = open_page(viewport={"width": 1280, "height": 900})
    answer(page, volume_of(phantom, 8))
    return page


def slide(page, selector, value):
    page.eval_on_selector(
        selector,
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(value),
    )


def colourfulness(picture):
    return float((picture.max(axis=2) - picture.min(axis=2)).sum())


def test_opacity_and_contour_change_the_pixels(viewed):
    viewed.click("#contour")
    strong = pixels(viewed)
    slide(viewed, "#opacity", 20)
    weak = pixels(viewed)
    slide(viewed, "#opacity", 0)
    none = pixels(viewed)
    assert colourfulness(strong) > colourfulness(weak) > 0
    assert colourfulness(none) == 0, "without heat the slice is grey"
    assert np.array_equal(none, pixels(viewed, "plain")), "and the same as beside it"
    viewed.click("#contour")
    assert not np.array_equal(none, pixels(viewed))


def test_heat_lies_where_the_server_says(viewed, confident, phantom_png):
    diagnosis = confident.classify(phantom_png)
    viewed.click("#contour")
    slide(viewed, "#opacity", 100)
    picture = pixels(viewed)
    small = np.asarray(
        Image.fromarray((picture.max(axis=2) - picture.min(axis=2)).astype(np.uint8)).resize(
            (224, 224)
        )
    )
    heat = diagnosis.heatmaps[diagnosis.label]
    assert np.corrcoef(small.ravel(), heat.ravel())[0, 1] > 0.8
    assert "Strongest evidence" in viewed.inner_text("#place")


def test_evidence_for_another_class_is_another_picture(viewed, expect):
    first = pixels(viewed)
    words = viewed.inner_text("#place")
    viewed.locator("#classes label", has_text="none of these tumours").click()
    expect(viewed.locator("#place")).not_to_have_text(words)
    expect(viewed.locator("#place")).to_contain_text("none of these tumours")
    assert not np.array_equal(first, pixels(viewed))


def test_drag_sets_window_and_level_and_reset_undoes_it(viewed):
    before = pixels(viewed, "plain")
    box = viewed.locator("#plain").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewed.mouse.move(x, y)
    viewed.mouse.down()
    viewed.mouse.move(x - 60, y + 20, steps=3)
    viewed.mouse.up()
    assert not np.array_equal(before, pixels(viewed, "plain"))
    assert "W 255" not in viewed.inner_text("#window")
    viewed.click("#reset")
    assert np.array_equal(before, pixels(viewed, "plain"))


def test_nothing_needs_a_drag(viewed):
    for button in ("contrast-more", "bright-less", "zoom-more"):
        before = pixels(viewed, "plain")
        viewed.click(f"#{button}")
        assert not np.array_equal(before, pixels(viewed, "plain")), button
    before = pixels(viewed, "plain")
    viewed.click("#move")
    viewed.click("#plain", position={"x": 60, "y": 60})
    assert not np.array_equal(before, pixels(viewed, "plain")), "a click moves it to the middle"
    viewed.click("#mark")
    before = pixels(viewed, "plain")
    viewed.click("#plain", position={"x": 90, "y": 90})
    assert not np.array_equal(before, pixels(viewed, "plain")), "a click moves the circle"
    assert viewed.is_enabled("#ask")


def test_every_tool_works_by_keyboard(viewed):
    viewed.keyboard.press("v")
    assert viewed.evaluate("document.activeElement.id") == "stage"
    before = pixels(viewed)
    for keys in ("i", "h", "c", "m", "[", ".", "+", "Shift+ArrowLeft", "2", "j"):
        viewed.keyboard.press(keys)
        after = pixels(viewed)
        assert not np.array_equal(before, after), f"{keys} changes nothing"
        viewed.keyboard.press("r")
        before = pixels(viewed)
    viewed.keyboard.press("?")
    assert viewed.locator("#keys").is_visible()
    viewed.uncheck("#keys-on")
    viewed.keyboard.press("Escape")
    viewed.focus("#headline")
    viewed.keyboard.press("i")
    assert np.array_equal(before, pixels(viewed)), "single keys can be switched off"


def test_study_is_scrolled_by_keyboard_wheel_and_curve(study, expect):
    slice_number = study.locator("#slice")
    study.focus("#stage")
    for key, wanted in (("End", 8), ("Home", 1), ("ArrowDown", 2), ("PageDown", 8), ("ArrowUp", 7)):
        before = drawing(study, "plain")
        study.keyboard.press(key)
        expect(slice_number).to_have_value(str(wanted))
        if key != "End":  # the study may be shown from its end on
            wait_for_other_drawing(study, before, "plain")
    study.hover("#plain")
    study.mouse.wheel(0, -100)
    expect(slice_number).to_have_value("6")
    curve = study.locator(".curve")
    curve.click(position={"x": curve.bounding_box()["width"] * 0.3, "y": 20})
    expect(slice_number).to_have_value("3")
    expect(study.locator("#curve-at")).to_have_text("3")
    study.wait_for_selector("text=Slice 3 alone:")


def test_asking_back_moves_the_probabilities_and_undo_brings_the_slice_back(viewed):
    before = pixels(viewed, "plain")
    viewed.click("#mark")
    assert viewed.is_enabled("#ask"), "begins with a circle where the evidence is"
    box = viewed.locator("#plain").bounding_box()
    at = lambda x, y: (box["x"] + box["width"] * x, box["y"] + box["height"] * y)  # noqa: E731
    viewed.mouse.move(*at(0.4, 0.4))
    viewed.mouse.down()
    for point in ((0.8, 0.4), (0.8, 0.8), (0.4, 0.8)):
        viewed.mouse.move(*at(*point), steps=6)
    viewed.mouse.up()
    with viewed.expect_response("**/counterfactual") as response:
        viewed.click("#ask")
    said = response.value.json()
    viewed.wait_for_selector("#moved:visible")
    assert sum(abs(change) for change in said["change"].values()) > 0.001
    assert said["region_pixels"] > 1000, "what was drawn was sent, not the circle"
    words = viewed.inner_text("#moved")
    for kind in ("before", "after"):
        share = said[kind]["probabilities"][said["before"]["label"]]
        assert f"{share * 100:.1f} %" in words or "99.9 %" in words or "0.1 %" in words
    viewed.click("#undo")
    viewed.click("#mark")
    assert viewed.locator("#moved").is_hidden()
    assert np.array_equal(before, pixels(viewed, "plain"))


def test_asking_back_works_by_keyboard(viewed, expect):
    viewed.keyboard.press("w")
    marked = pixels(viewed, "plain")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        viewed.keyboard.press(key)
    assert not np.array_equal(marked, pixels(viewed, "plain"))
    viewed.keyboard.press("Enter")
    viewed.wait_for_selector("#moved:visible")
    viewed.keyboard.press("Escape")
    expect(viewed.locator("#marking")).to_be_hidden()


def test_what_is_kept_holds_the_class_and_the_disclaimer(viewed):
    pypdf = pytest.importorskip("pypdf")
    headline = viewed.inner_text("#headline")

    def kept(way):
        with viewed.expect_download() as download:
            viewed.click(f"[data-keep={way}]")
        return download.value.path().read_bytes()

    report = pypdf.PdfReader(io.BytesIO(kept("pdf")))
    text = " ".join(page.extract_text() for page in report.pages)
    assert len(report.pages) == 1 and headline.lower() in text.lower()
    assert "research" in text.lower()
    data = json.loads(kept("json"))["results"][0]
    assert data["label"].split()[0] in headline.lower() and "research" in data["disclaimer"]
    table = kept("csv").decode().splitlines()
    assert len(table) == 2 and data["label"] in table[1] and "research" in table[1]
    picture = Image.open(io.BytesIO(kept("png")))
    assert picture.width == 900 and picture.height > 1000, "words stand under the picture"


def test_long_series_sends_one_slice_to_ask_back(study):
    study.click("#mark")
    with study.expect_request_finished(lambda r: r.url.endswith("/counterfactual")) as request:
        study.click("#ask")
    study.wait_for_selector("#moved:visible")
    assert request.value.sizes()["requestBodySize"] < 100_000, "one slice, not the whole study"


def test_next_slice_replaces_the_answer(viewed, expect, phantom):
    answer(viewed, volume_of(phantom, 4))
    expect(viewed.locator("#slice")).to_be_visible()
    expect(viewed.locator(".item")).to_have_count(2)  # the first can be opened again
    forget_painted(viewed)
    viewed.click(".item-open >> nth=0")
    viewed.wait_for_selector(READY)
    expect(viewed.locator("#slice")).to_have_count(0)
