"""Whoever reads the JSON, the page, the PDF or a table sees why the answer is uncertain."""

import csv
import dataclasses
import html
import io
import json
import re

import jsonschema
import numpy as np
import pytest
from conftest import client_of, encode, upload
from pypdf import PdfReader
from scanfiles import dicom
from test_viewer import parts_of

from brain_cnn.batch.parts import Results
from brain_cnn.batch.rows import COLUMNS, SLICE_COLUMNS, row_of, slice_rows
from brain_cnn.batch.walk import Item
from brain_cnn.errors import SettingsError
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.classifier import Classifier
from brain_cnn.inference.conformal import same_for_all
from brain_cnn.inference.diagnosis import verdict_reason
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.prediction_table import as_row, write_csv

NOT_SURE = "so it stays uncertain"


def with_limit(classifier, limit):
    """Return the shipped model whose sets hold one label, that lets all pass, with this limit."""
    calibration = classifier.bundle.calibration
    looks = dataclasses.replace(calibration.appearance, limits=calibration.appearance.limits + 1e9)
    gate = dataclasses.replace(calibration.gate, limit=1e9)
    bundle = dataclasses.replace(
        classifier.bundle,
        calibration=dataclasses.replace(
            calibration,
            set_thresholds=same_for_all(0.0),
            gate=gate,
            appearance=looks,
            trust=dataclasses.replace(calibration.trust, limit=limit),
        ),
    )
    return Classifier(bundle, classifier.engine)


@pytest.fixture(scope="module")
def doubting(classifier):
    """Return a model that leaves one class and never trusts it."""
    return with_limit(classifier, 1.5)


@pytest.fixture(scope="module")
def trusting(classifier):
    """Return a model that leaves one class and always trusts it."""
    return with_limit(classifier, 0.0)


@pytest.fixture(scope="module")
def series():
    return [
        dicom(
            draw_phantom("meningioma", n).astype(np.uint16),
            InstanceNumber=n + 1,
            SeriesDescription="T1 POST",
            ImagePositionPatient=[0, 0, 5.0 * n],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )
        for n in range(4)
    ]


def words(text):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def pdf_words(response):
    pages = PdfReader(io.BytesIO(response.data)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def check_schema(client, answer):
    document = client.get("/api/v1/openapi.json").json
    schema = {"$ref": "#/components/schemas/Answer", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_json_of_a_slice_says_why_one_class_is_uncertain(doubting, phantom_png):
    client = client_of(doubting)
    answer = upload(client, phantom_png).json
    check_schema(client, answer)
    (result,) = answer["results"]
    assert result["verdict"] == "uncertain" and len(result["prediction_set"]) == 1
    assert 0 <= result["trust"] < result["trust_limit"] == 1.5
    assert NOT_SURE in result["verdict_reason"]
    assert f"trust {result['trust']:.2f}, needed 1.50" in result["verdict_reason"]
    (own,) = result["slices"]
    assert (own["trust"], own["trust_limit"]) == (result["trust"], 1.5)


def test_json_of_a_study_says_why_one_class_is_uncertain(doubting, series):
    client = client_of(doubting)
    answer = upload(client, *series).json
    check_schema(client, answer)
    for result in answer["results"]:
        study = result["study"]
        assert study["verdict"] == "uncertain" and len(study["prediction_set"]) == 1
        assert 0 <= study["trust"] < study["trust_limit"] == 1.5
        assert f"trust {study['trust']:.2f}, needed 1.50" in study["verdict_reason"]


def test_trust_of_a_study_is_the_one_that_its_verdict_goes_by(classifier, series):
    study = with_limit(classifier, 0.5).classify_study(series)
    near = with_limit(classifier, study.trust).classify_study(series)
    above = with_limit(classifier, np.nextafter(study.trust, 2)).classify_study(series)
    assert (near.verdict, above.verdict) == ("confident", "uncertain")


def test_model_without_trust_says_null_and_still_why(confident, phantom_png, series):
    client = client_of(confident)
    for files in ([phantom_png], series):
        answer = upload(client, *files).json
        check_schema(client, answer)
        said = answer["results"][0]["study"] or answer["results"][0]
        assert said["trust"] is None and said["trust_limit"] is None
        assert said["verdict"] == "confident" and "One class is left" in said["verdict_reason"]


def test_refused_slice_says_which_check_failed(refusing, phantom_png, series):
    (result,) = upload(client_of(refusing), phantom_png).json["results"]
    failed = [check["sentence"] for check in result["reasons"] if check["failed"]]
    assert failed and result["verdict_reason"] == " ".join(failed)
    study = upload(client_of(refusing), *series).json["results"][0]["study"]
    assert "Too few neighbouring slices" in study["verdict_reason"]


@pytest.mark.parametrize("address", ["/", "/view"])
def test_page_says_once_why_one_class_is_uncertain(doubting, phantom_png, series, address):
    for files in ([phantom_png], series):
        study = doubting.classify_study(files)
        response = upload(client_of(doubting), *files, url=address)
        text = response.data
        if address == "/view":
            text = json.loads(parts_of(response.content_type, text)["answer"])["html"].encode()
        page = words(text.decode())
        assert page.count(study.verdict_reason) == 1
        assert f"trust {study.trust:.2f}, needed 1.50" in page


def test_link_to_the_reason_leads_to_it(doubting, trusting, phantom_png):
    page = upload(client_of(doubting), phantom_png, url="/").text
    assert page.count('href="#trust-reason"') == page.count('id="trust-reason"') == 1
    assert 'href="#trust-reason"' not in upload(client_of(trusting), phantom_png, url="/").text


def test_confident_page_says_that_both_conditions_hold(trusting, phantom_png):
    page = words(upload(client_of(trusting), phantom_png, url="/").text)
    trust = trusting.classify(phantom_png).trust
    assert f"trust {trust:.2f}, needed 0.00" in page and "Only both together" in page
    assert NOT_SURE not in page


def test_page_of_several_classes_does_not_speak_of_trust(uncertain, phantom_png):
    page = words(upload(client_of(uncertain), phantom_png, url="/").text)
    assert "cannot tell these apart" in page and "needed" not in page and NOT_SURE not in page


def test_report_says_once_why_one_class_is_uncertain(doubting, phantom_png, series):
    for files in ([phantom_png], series):
        said = pdf_words(upload(client_of(doubting), *files, url="/api/v1/report"))
        assert said.count(doubting.classify_study(files).verdict_reason) == 1


def test_report_of_a_confident_slice_says_that_both_conditions_hold(trusting, phantom_png):
    said = pdf_words(upload(client_of(trusting), phantom_png, url="/api/v1/report"))
    assert trusting.classify(phantom_png).verdict_reason in said and "Only both together" in said


def test_csv_of_the_api_has_trust_and_limit(doubting, confident, series):
    address = "/api/v1/predict?format=csv"
    rows = list(csv.DictReader(io.StringIO(upload(client_of(doubting), *series, url=address).text)))
    study = doubting.classify_study(series)
    by_place = {int(row["slice_index"]): row for row in rows}
    for own in study.slices:
        row = by_place[own.slice_index]
        assert float(row["trust"]) == pytest.approx(own.trust, abs=1e-6)
        assert float(row["trust_limit"]) == 1.5
        assert float(row["study_trust"]) == pytest.approx(study.trust, abs=1e-6)
    text = upload(client_of(confident), *series, url=address).text
    for row in csv.DictReader(io.StringIO(text)):
        assert row["trust"] == row["trust_limit"] == row["study_trust"] == ""


def test_command_line_has_trust_and_limit(doubting, phantom_png, tmp_path):
    study = doubting.classify_study(phantom_png)
    row = as_row(tmp_path / "slice.png", study)
    assert (row["trust"], row["trust_limit"]) == (study.trust, 1.5)
    assert row["verdict_reason"] == study.verdict_reason
    out = io.StringIO()
    write_csv([row], out)
    (line,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert float(line["trust"]) == study.trust and line["trust_limit"] == "1.5"


def test_archive_rows_have_trust_and_limit(doubting, series, tmp_path):
    item = Item("a.dcm", "a.dcm")
    study = doubting.classify_study(series)
    row = row_of(item, study, doubting.bundle)
    assert set(row) == set(COLUMNS) and (row["trust"], row["trust_limit"]) == (study.trust, 1.5)
    rows = slice_rows(item, study)
    assert all(set(row) == set(SLICE_COLUMNS) for row in rows)
    assert [row["trust"] for row in rows] == [one.trust for one in study.slices]


def test_archive_of_an_older_version_is_not_mixed_with_new_columns(tmp_path):
    Results(tmp_path, "csv", {"model": "x"}).close()
    about = tmp_path / "scoring.json"
    Results(tmp_path, "csv", {"model": "x"}).close()  # the same version goes on
    found = json.loads(about.read_text())
    del found["columns"]["trust"], found["columns"]["trust_limit"]
    about.write_text(json.dumps(found))
    with pytest.raises(SettingsError, match="other columns") as error:
        Results(tmp_path, "csv", {"model": "x"})
    assert "--out" in error.value.hint


@pytest.mark.parametrize(
    ("trust", "limit", "shown"),
    [(0.41, 0.65, "trust 0.41, needed 0.65"), (0.6499, 0.65, "trust 0.6499, needed 0.6500"),
     (0.0, 2.0, "trust 0.00, needed 2.00")],
)  # fmt: skip
def test_trust_below_the_limit_never_looks_equal_to_it(trust, limit, shown):
    assert shown in verdict_reason("uncertain", ("glioma",), trust, limit)


def test_shipped_model_gives_a_reason_that_fits_its_verdict(classifier):
    for label in ("glioma", "notumor", "pituitary"):
        said = classifier.classify(encode(draw_phantom(label, 2)))
        if said.verdict == "uncertain":
            alone = len(said.prediction_set) == 1
            assert (NOT_SURE in said.verdict_reason) == alone
            assert (said.trust < said.trust_limit) or not alone
        assert said.verdict_reason.endswith(".")


def test_calibration_without_trust_has_no_limit():
    assert Calibration.identity().trust_limit is None
