"""Long studies and uploads of several series, in a real browser."""

import io
import zipfile

import numpy as np
import pytest
from browsing import READY, answer, choose, file_of, needs_browser, volume_of
from conftest import client_of, upload
from scanfiles import dicom
from test_browser_states import check

from brain_cnn.phantoms import draw_phantom


@needs_browser
def test_long_study_counts_its_slices_while_they_are_judged(open_page, phantom):
    page = open_page()
    page.evaluate(
        """() => {
            window.said = [];
            // Each value that the bar is given: a busy page paints only some of them.
            const bar = HTMLProgressElement.prototype;
            const own = Object.getOwnPropertyDescriptor(bar, "value");
            Object.defineProperty(bar, "value", {...own, set(value) {
                own.set.call(this, value);
                const words = this.closest(".item").querySelector(".item-state").textContent;
                if (words.startsWith("Judged") && words !== said.at(-1)?.[0])
                    said.push([words, this.value]);
            }});
        }"""
    )
    answer(page, volume_of(phantom[::2, ::2], 100))
    said = page.evaluate("said")
    counts = [int(words.split()[1]) for words, _ in said]
    assert len(counts) >= 3 and counts == sorted(set(counts)) and counts[-1] <= 100
    assert said == [[f"Judged {n} of 100 slices…", n / 100] for n in counts]
    assert "study of 100 slices" in page.inner_text(".badge")


def zip_of(*files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for place, data in enumerate(files):
            out.writestr(f"{place}.dcm", data)
    return archive.getvalue()


@pytest.fixture(scope="module")
def two_series():
    """Return a ZIP of a series of three slices and one of two."""
    return zip_of(
        *(
            dicom(
                draw_phantom(label, 3).astype(np.uint16),
                SeriesInstanceUID=f"1.2.3.{count}",
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[0, 0, 4 * place],
            )
            for label, count in (("glioma", 3), ("meningioma", 2))
            for place in range(count)
        )
    )


@needs_browser
def test_every_series_of_an_upload_opens_in_the_viewer(open_page, two_series):
    page = open_page()
    answer(page, file_of(two_series, "study.zip"))
    assert "study of 3 slices" in page.inner_text(".badge")
    assert page.locator(".series li").count() == 2
    check(page, "a list of series")
    with page.expect_response("**/view"):
        page.click("[data-series='1']")
    page.wait_for_selector(".badge:has-text('study of 2 slices')")
    page.wait_for_selector(READY)
    assert page.locator(".item-name").all_inner_texts() == ["study.zip", "study.zip, series 2"]
    page.click("#mark")
    with page.expect_download() as download:
        page.click("[data-keep=pdf]")
    assert download.value.path().read_bytes()[:5] == b"%PDF-"
    posts = []
    page.on("request", lambda request: posts.append(request.method))
    page.click("[data-series='0']")
    page.wait_for_selector(".badge:has-text('study of 3 slices')")
    assert "POST" not in posts, "an answer that is there is not asked for again"


@needs_browser
def test_series_is_chosen_without_javascript(open_page, two_series):
    page = open_page(java_script_enabled=False)
    choose(page, file_of(two_series, "study.zip"))
    page.click("#upload button[type=submit] >> nth=0")
    page.wait_for_selector(".series")
    page.select_option("#series", "1")
    choose(page, file_of(two_series, "study.zip"))
    page.click("#upload button[type=submit] >> nth=0")
    page.wait_for_selector(".badge:has-text('study of 2 slices')")


@pytest.mark.parametrize("url", ["/view", "/", "/report", "/api/v1/counterfactual"])
def test_series_that_is_not_there_is_told(confident, two_series, url):
    fields = {"region": "[[90, 90], [130, 90], [130, 130]]"}
    for series, status, words in (("2", 422, "has 2 series"), ("one", 400, "whole number")):
        data = fields | {"file": (io.BytesIO(two_series), "study.zip"), "series": series}
        response = client_of(confident).post(url, data=data)
        assert response.status_code == status and words in response.text


def test_counterfactual_is_about_the_slice_of_the_series(confident, two_series):
    client = client_of(confident)
    (result,) = upload(client, two_series).json["results"]
    (other,) = result["other_series"]
    said = client.post(
        "/api/v1/counterfactual",
        data={
            "file": (io.BytesIO(two_series), "study.zip"),
            "region": "[[90, 90], [130, 90], [130, 130]]",
            "series": "1",
        },
    ).json["before"]
    assert said["probabilities"] == pytest.approx(other["study"]["probabilities"], abs=1e-5)
    assert said["probabilities"] != pytest.approx(result["probabilities"], abs=1e-3)
