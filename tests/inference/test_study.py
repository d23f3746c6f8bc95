"""Many slices, one answer: robust to odd slices, and refused where it must be."""

import dataclasses

import numpy as np
import pytest
from conftest import client_of, encode, upload
from scanfiles import dicom, nifti

from brain_cnn.errors import ScanError
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.study import judge_study, neighbourhood, smooth
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom

CALIBRATION = Calibration.identity()
NONE = [0.02, 0.03, 0.94, 0.01]
TUMOUR = [0.90, 0.05, 0.03, 0.02]


@pytest.fixture(scope="module")
def template(classifier):
    return classifier.classify(encode(draw_phantom("glioma", 1)))


def study_of(template, rows, familiar=None, calibration=CALIBRATION, weighting=""):
    slices = [
        dataclasses.replace(
            template,
            probabilities=dict(zip(LABELS, row, strict=True)),
            familiar=True if familiar is None else bool(familiar[place]),
            slice_index=place,
            slice_count=len(rows),
        )
        for place, row in enumerate(rows)
    ]
    return judge_study(slices, calibration, 0.95, weighting)


@pytest.mark.parametrize("odd", [0, 1, 90, 179])
def test_one_odd_slice_of_180_does_not_call_a_healthy_head_a_tumour(template, odd):
    rows = [NONE] * 180
    rows[odd] = [0.999, 0.0005, 0.0003, 0.0002]
    study = study_of(template, rows)
    assert (study.verdict, study.label) == ("confident", "notumor")
    assert study.evidence_slices == ()


def test_odd_slices_far_apart_do_not_add_up(template):
    rows = [TUMOUR if place % 12 == 0 else NONE for place in range(180)]
    assert study_of(template, rows).label == "notumor"


def test_tumour_in_neighbouring_slices_is_found_where_it_is(template):
    rows = [NONE] * 60 + [TUMOUR] * 15 + [NONE] * 105
    study = study_of(template, rows)
    assert (study.verdict, study.label) == ("confident", "glioma")
    assert 60 <= study.strongest < 75 and set(study.evidence_slices) <= set(range(58, 77))
    assert study.confidence == pytest.approx(0.9)


def test_unfamiliar_slices_do_not_count(template):
    rows = [NONE] * 60 + [TUMOUR] * 15 + [NONE] * 105
    familiar = [not 60 <= place < 75 for place in range(180)]
    study = study_of(template, rows, familiar)
    assert study.label == "notumor" and np.isnan(study.evidence[67]).all()


def test_study_with_too_few_familiar_slices_names_no_class(template):
    familiar = [place in (3, 50, 120) for place in range(180)]
    study = study_of(template, [TUMOUR] * 180, familiar)
    assert study.verdict == "unfamiliar" and not study.familiar
    assert study_of(template, [TUMOUR] * 180, [True] * 5 + [False] * 175).verdict == "unfamiliar"


@pytest.mark.parametrize(
    ("weighting", "verdict"),
    [("", "confident"), ("T1 contrast-enhanced", "confident"), ("PD", "uncertain"),
     ("T1", "uncertain"), ("T2", "uncertain"), ("FLAIR", "uncertain")],
)  # fmt: skip
def test_tumour_is_not_confident_in_a_weighting_that_it_was_not_learned_from(
    template, weighting, verdict
):
    study = study_of(template, [TUMOUR] * 30, weighting=weighting)
    assert (study.verdict, study.label) == (verdict, "glioma")
    assert ("notumor" in study.prediction_set) == (verdict == "uncertain")
    assert any("contrast-enhanced T1" in note for note in study.notes) == (verdict == "uncertain")
    assert study_of(template, [NONE] * 30, weighting=weighting).verdict == "confident"


def test_study_has_the_widest_prediction_set(template):
    calibration = Calibration(1.0, {0.9: (0.0,) * 4, 0.95: (0.0,) * 4, 0.99: (0.99,) * 4})
    assert study_of(template, [TUMOUR] * 30, calibration=calibration).verdict == "uncertain"
    assert study_of(template, [TUMOUR], calibration=calibration).verdict == "confident"


def test_single_slice_is_judged_as_the_slice_itself(template):
    study = study_of(template, [TUMOUR])
    assert (study.verdict, study.label, study.window) == ("confident", "glioma", 1)


@pytest.mark.parametrize(("count", "window"), [(1, 1), (2, 1), (3, 3), (20, 3), (60, 3), (180, 9)])
def test_neighbourhood_is_a_twentieth_and_odd(count, window):
    assert neighbourhood(count) == window


def test_smoothed_probabilities_sum_to_one():
    rng = np.random.default_rng(0)
    evidence = smooth(rng.dirichlet(np.ones(4), 40), np.ones(40, bool), 5)
    assert np.allclose(evidence.sum(axis=1), 1)


@pytest.fixture(scope="module")
def volume():
    """Return a NIfTI file of 40 drawn slices."""
    slices = [draw_phantom("notumor" if place < 20 else "glioma", 4) for place in range(40)]
    return nifti(np.stack([np.flip(s, (0, 1)).T for s in slices], axis=2).astype(np.int16) * 4)


def test_classify_study_judges_every_slice_in_one_pass(confident, volume):
    seen = []
    study = confident.classify_study(
        volume, progress=lambda done, total: seen.append((done, total))
    )
    assert [d.slice_index for d in study.slices] == list(range(40)) and study.scan_format == "NIfTI"
    assert study.evidence.shape == (40, 4)
    assert len(seen) > 1 and seen == sorted(seen) and seen[-1] == (40, 40)
    assert confident.classify(volume).slice_index == study.strongest


def test_classify_study_takes_the_files_of_a_series(confident, phantom):
    files = [
        dicom(
            phantom.astype(np.uint16),
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, z],
        )
        for z in (8, 0, 4)
    ]
    study = confident.classify_study(files)
    assert len(study.slices) == 3 and study.positions_mm == (0, 4, 8)
    assert study.facts.modality == "MR"


def test_ct_is_refused_by_its_header_unless_forced(confident, phantom):
    ct = dicom(phantom.astype(np.uint16), Modality="CT")
    with pytest.raises(ScanError, match=r"This is a CT; the model knows MRI only\."):
        confident.classify(ct)
    assert confident.classify_study(ct, force=True).forced
    assert not confident.classify_study(encode(phantom), force=True).forced

    client = client_of(confident)
    refused = upload(client, ct)
    assert refused.status_code == 422 and refused.json["code"] == "not-mri"
    (result,) = upload(client, ct, url="/api/v1/predict?force=1").json["results"]
    assert result["forced"] is True and result["scan"]["modality"] == "CT"
    page = upload(client, ct, url="/")
    assert page.status_code == 422 and "This is a CT; the model knows MRI only." in page.text


def test_api_gives_study_and_every_slice(confident, volume):
    (result,) = upload(client_of(confident), volume).json["results"]
    assert result["slice_count"] == 40 and len(result["slices"]) == 40
    assert result["study"]["strongest_slice"] == result["slice_index"]
    assert result["study"]["rule"] and result["scan"]["plane"] == "axial"
    (result,) = upload(client_of(confident), volume, url="/api/v1/predict?plane=coronal").json[
        "results"
    ]
    assert result["scan"]["plane"] == "coronal" and result["slice_count"] == 224


@pytest.mark.parametrize("query", ["plane=diagonal", "force=yes"])
def test_unknown_option_is_400(client, phantom_png, query):
    assert upload(client, phantom_png, url=f"/api/v1/predict?{query}").status_code == 400


def test_files_of_a_series_share_a_study_and_keep_their_places(confident, phantom):
    files = [
        dicom(
            phantom.astype(np.uint16),
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, z],
        )
        for z in (8, 0, 4)
    ]
    results = upload(client_of(confident), *files, b"junk").json["results"]
    assert [r.get("slice_index") for r in results] == [2, 0, 1, None]
    assert results[0]["study"] == results[1]["study"] and results[3]["status"] == 415
    assert [len(r["slices"]) for r in results[:3]] == [1, 1, 1]


def test_page_shows_the_study_without_javascript(confident, volume):
    page = upload(client_of(confident), volume, url="/").text
    assert "study of 40 slices" in page and page.count("<polyline") == 4
    assert page.count('<th scope="row">') >= 40 and "median" in page
    assert not any(word in page for word in (" style=", "onclick"))


def test_page_of_an_unfamiliar_study_names_no_class(refusing, volume):
    page = upload(client_of(refusing), volume, url="/").text.lower()
    assert "not like the brain mri" in page and "<polyline" not in page
    assert not any(word in page for word in ("glioma", "meningioma", "pituitary"))
