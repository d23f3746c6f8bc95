"""One upload has one answer, and no writer does work that it throws away."""

import io
import zipfile

import numpy as np
import pytest
from conftest import client_of, encode, upload
from scanfiles import dicom

from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def series(count, uid="1.2.3", **elements):
    return [
        dicom(
            draw_phantom("meningioma", place).astype(np.uint16),
            SeriesInstanceUID=uid,
            InstanceNumber=place + 1,
            ImagePositionPatient=[0, 0, 5.0 * place],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **elements,
        )
        for place in range(count)
    ]


@pytest.fixture(scope="module")
def good_and_bad():
    """A ZIP with five slices of one size, over the limit of four, and two of another."""
    large = {f"a{n}.png": encode(draw_phantom("glioma", n)) for n in range(5)}
    small = {f"b{n}.png": encode(draw_phantom("glioma", n, 160)) for n in range(2)}
    return zipped(large | small)


@pytest.mark.parametrize("url", ["/", "/view", "/api/v1/predict", "/api/v1/report"])
def test_good_series_beside_a_bad_one_is_answered_everywhere(confident, good_and_bad, url):
    assert upload(client_of(confident, max_slices=4), good_and_bad, url=url).status_code == 200


def test_good_series_says_what_was_lost_beside_it(confident, good_and_bad):
    client = client_of(confident, max_slices=4)
    (result,) = upload(client, good_and_bad).json["results"]
    assert result["slice_count"] == 2 and result["label"] in LABELS
    assert "5 slices; the limit is 4" in result["notes"][-1]
    assert "5 slices; the limit is 4" in upload(client, good_and_bad, url="/").text


def test_small_mri_beside_a_large_ct_on_request_is_the_one_that_is_answered(confident):
    files = [*series(4, "1.2.9", Modality="CT"), *series(2)]
    data = zipped({f"{place}.dcm": data for place, data in enumerate(files)})
    client = client_of(confident)
    (result,) = upload(client, data, url="/api/v1/predict?force=1").json["results"]
    assert result["scan"]["modality"] == "MR" and not result["forced"]
    assert "study of 2 slices" in upload(client, data, url="/?force=1").text
    assert confident.classify_study(data, force=True).facts.modality == "MR"


def test_error_of_several_bad_files_is_that_of_the_first(confident):
    ct = series(1, "1.2.9", Modality="CT")[0]
    client = client_of(confident)
    page = upload(client, ct, b"junk", url="/")
    first = upload(client, ct, b"junk").json["results"][0]
    assert first["code"] == "not-mri" and first["detail"] in page.text


def counted(monkeypatch, owner, name):
    """Count the calls of a function, which go on as before."""
    calls = []
    original = getattr(owner, name)

    def count(*arguments, **options):
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, count)
    return calls


@pytest.mark.parametrize("heatmap", ["png", "raw"])
def test_table_draws_no_heatmap(confident, phantom_png, monkeypatch, heatmap):
    from brain_cnn.inference.diagnosis import Diagnosis
    from brain_cnn.render import answer_json
    from brain_cnn.web.views import api

    client = client_of(confident)
    drawn = counted(monkeypatch, Diagnosis, "heatmap_at")
    made = counted(monkeypatch, api, "part_json")
    heats = counted(monkeypatch, answer_json, "heatmap_json")
    url = f"/api/v1/predict?heatmap={heatmap}"
    assert upload(client, phantom_png, url=f"{url}&format=csv").content_type.startswith("text/csv")
    assert drawn == made == heats == []
    assert "heatmap" in upload(client, phantom_png, url=url).json["results"][0]
    assert len(made) == len(heats) == 1 and len(drawn) == (heatmap == "png")


def test_page_says_the_time_of_all_slices(confident, monkeypatch):
    from brain_cnn.inference.classifier import Classifier

    original = Classifier.classify_scan

    def timed(self, *arguments, **options):
        """Give slice n a reading of 100 ms and a network of n² * 1000 ms."""
        diagnoses = original(self, *arguments, **options)
        for place, diagnosis in enumerate(diagnoses):
            object.__setattr__(
                diagnosis, "timing_ms", {"read": 100.0, "network": 1000.0 * place**2}
            )
        return diagnoses

    client = client_of(confident)
    monkeypatch.setattr(Classifier, "classify_scan", timed)
    assert "Read and judged in 5300 ms" in upload(client, *series(3), url="/").text


def test_openapi_alone_loads_what_describes_it():
    from test_imports import run_fresh

    output = run_fresh(
        "import sys\n"
        "from app import app\n"
        "client = app.test_client()\n"
        "assert client.get('/').status_code == 200\n"
        "before = 'pydantic' in sys.modules\n"
        "assert client.get('/api/v1/openapi.json').status_code == 200\n"
        "print(before, 'pydantic' in sys.modules)\n"
    )
    assert output.split() == ["False", "True"]
