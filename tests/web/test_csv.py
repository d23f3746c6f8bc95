"""The CSV of many answers equals the JSON, and no spreadsheet can take it for a program."""

import csv
import io

import numpy as np
import pytest
from conftest import upload
from scanfiles import SECRETS, dicom

from brain_cnn.errors import ScanError
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.csv_table import COLUMNS, _cell, csv_table


def table(classifier, files, **options):
    answers, problems = classifier.classify_together(files, **options)
    text = csv_table(answers, problems, classifier.bundle)
    return list(csv.DictReader(io.StringIO(text, newline=""))), text


def series(count=5):
    return [
        dicom(
            draw_phantom("meningioma", n).astype(np.uint16),
            InstanceNumber=count - n,
            ImagePositionPatient=[0, 0, -5.0 * n],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )
        for n in range(count)
    ]


def test_rows_equal_the_json(client, phantom_png):
    files = [phantom_png, b"junk", *series()]
    response = upload(client, *files, url="/api/v1/predict?format=csv")
    assert response.content_type.startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    results = upload(client, *files).json["results"]
    assert len(rows) == 7
    by_file = {int(row["file"]): row for row in rows}
    for place, result in enumerate(results):
        row = by_file[place]
        if "status" in result:
            assert row["error"] == f"{result['code']}: {result['detail']}"
            assert not row["label"] and not row["p_glioma"]
            continue
        (own,) = result["slices"]
        for name in ("slice_index", "label", "verdict"):
            assert row[name] == str(own[name])
        # One batch or another: the network's last digit may differ.
        close = {"abs": 1e-6}
        assert float(row["confidence"]) == pytest.approx(own["confidence"], **close)
        for label in LABELS:
            assert float(row[f"p_{label}"]) == pytest.approx(own["probabilities"][label], **close)
        assert row["prediction_set"].split("+") == own["prediction_set"]
        assert row["familiar"] == ("yes" if own["familiar"] else "no")
        assert float(row["familiarity"]) == pytest.approx(own["familiarity"], **close)
        assert row["slice_count"] == str(result["slice_count"])
        assert row["position_mm"] == (
            "" if own["position_mm"] is None else repr(own["position_mm"])
        )
        if result["study"]:
            assert row["study_label"] == result["study"]["label"]
            for label in LABELS:
                assert float(row[f"study_p_{label}"]) == pytest.approx(
                    result["study"]["probabilities"][label], **close
                )
        else:
            assert row["study_verdict"] == ""


def test_numbers_keep_all_their_digits(classifier, phantom_png):
    answers, problems = classifier.classify_together([phantom_png])
    (row,) = csv.DictReader(io.StringIO(csv_table(answers, problems, classifier.bundle)))
    (said,) = answers[0].study.slices
    assert float(row["confidence"]) == said.confidence
    assert [float(row[f"p_{label}"]) for label in LABELS] == list(said.probabilities.values())


def test_one_row_for_each_slice_and_every_column_is_documented(classifier):
    rows, text = table(classifier, series())
    assert len(rows) == 5 and list(rows[0]) == list(COLUMNS)
    assert all(words for words in COLUMNS.values())
    assert text.count("\r\n") == 6
    assert all(row["disclaimer"] == DISCLAIMER for row in rows)
    assert all(row["model_sha256"] == classifier.bundle.sha256 for row in rows)


def test_scan_that_is_refused_has_its_reason(classifier, phantom):
    ct = dicom(phantom.astype(np.uint16), Modality="CT")
    (row,), _ = table(classifier, [ct])
    assert row["error"].startswith("not-mri: ") and row["label"] == ""


def test_formulas_are_text_and_numbers_are_numbers():
    for words in ("=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "|x", "%x", "\r=1"):
        assert _cell(words) == "'" + words
    assert _cell(-12.5) == "-12.5" and _cell(0) == "0" and _cell(None) == ""
    assert _cell("glioma") == "glioma"


def test_error_that_quotes_a_file_cannot_become_a_formula(classifier):
    error = ScanError('=HYPERLINK("x")', 'with "quotes", commas\nand lines')
    text = csv_table([], {0: error}, classifier.bundle)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["error"].startswith("'=HYPERLINK") and "\nand lines" in row["error"]


def test_nothing_of_a_person_is_in_the_table(classifier, phantom):
    _, text = table(classifier, [dicom(phantom.astype(np.uint16))])
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()]
