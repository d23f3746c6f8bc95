"""Whoever reads an answer gets the same one: page, viewer, JSON, CSV, PDF and command line."""

import csv
import dataclasses
import html
import io
import json
import re
import zipfile
from dataclasses import dataclass, field

import numpy as np
import pytest
from browsing import volume_of
from conftest import client_of, encode
from pypdf import PdfReader
from scanfiles import dicom, nifti
from test_viewer import parts_of

from brain_cnn.batch import predict_command
from brain_cnn.inference.classifier import Classifier
from brain_cnn.inference.conformal import same_for_all
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render import words
from brain_cnn.scan import ScanLimits

LIMITED = {"max_slices": 4}


@dataclass(frozen=True)
class Case:
    """An upload.

    Attributes:
        files: what is sent. model: the fixture that judges it.
        verdict: what it must come to, or the code of the error.
        slices: of the main series. main: the place of its first file.
        options: `force` and `plane`. settings: of the server.
    """

    files: list[bytes]
    model: str
    verdict: str
    slices: int = 1
    main: int = 0
    options: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


def head(number=3, label="glioma"):
    return draw_phantom(label, number)


def picture(number=3, size=224):
    return encode(draw_phantom("glioma", number, size))


def dicom_series(count, label="meningioma", series="1.2.3", **elements):
    return [
        dicom(
            draw_phantom(label, place).astype(np.uint16),
            SeriesInstanceUID=series,
            InstanceNumber=place + 1,
            ImagePositionPatient=[0, 0, 5.0 * place],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **{"SeriesDescription": "T1 POST"} | elements,
        )
        for place in range(count)
    ]


def numbered(files, start=0):
    return {f"{start + place:03d}": data for place, data in enumerate(files)}


def archive(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return file.getvalue()


def noise():
    return encode(np.random.default_rng(0).integers(0, 255, (224, 224), np.uint8))


def cases():
    ct = {"Modality": "CT", "series": "1.2.9"}
    good_and_bad = archive(
        {f"a{n}.png": picture(n) for n in range(5)}
        | {f"b{n}.png": picture(n, 160) for n in range(2)}
    )
    two_series = archive(
        numbered(dicom_series(2)) | numbered(dicom_series(3, "glioma", "1.2.4"), start=2)
    )
    large_ct_small_mr = archive(
        numbered(dicom_series(4, **ct)) | numbered(dicom_series(2), start=4)
    )
    return {
        "slice": Case([picture()], "confident", "confident"),
        "slice of several classes": Case([picture()], "uncertain", "uncertain"),
        "slice that is not trusted": Case([picture()], "doubting", "uncertain"),
        "unfamiliar slice": Case([picture()], "refusing", "unfamiliar"),
        "noise": Case([noise()], "classifier", "unfamiliar"),
        "JPEG": Case([encode(head(2), "JPEG")], "trusting", "confident"),
        "DICOM": Case([dicom(head().astype(np.uint16))], "confident", "confident"),
        "series": Case(dicom_series(4), "confident", "confident", 4),
        "series of several classes": Case(dicom_series(4), "uncertain", "uncertain", 4),
        "series that is not trusted": Case(dicom_series(4), "doubting", "uncertain", 4),
        "unfamiliar series": Case(dicom_series(4), "refusing", "unfamiliar", 4),
        "NIfTI": Case([volume_of(head(), 6)], "confident", "confident", 6),
        "sagittal": Case(
            [nifti(np.stack([head()[::16].astype(np.int16)] * 40, 2))],
            "confident", "confident", 14, options={"plane": "sagittal"},
        ),
        "plain T1 series": Case(
            dicom_series(3, "glioma", SeriesDescription="T1 plain"), "confident", "uncertain", 3
        ),
        "ZIP of pictures": Case(
            [archive({f"{n}.png": picture(n) for n in range(3)})], "confident", "confident", 3
        ),
        "ZIP of a good and a bad series": Case(
            [good_and_bad], "confident", "confident", 2, settings=LIMITED
        ),
        "ZIP of two series": Case([two_series], "confident", "confident", 3),
        "CT": Case(dicom_series(1, **ct), "confident", "not-mri"),
        "CT on request": Case(
            dicom_series(2, **ct), "confident", "confident", 2, options={"force": "1"}
        ),
        "small MRI beside a large CT, on request": Case(
            [large_ct_small_mr], "confident", "confident", 2, options={"force": "1"}
        ),
        "small MRI beside a large CT": Case([large_ct_small_mr], "confident", "confident", 2),
        "two series in many files": Case(
            [*dicom_series(2), *dicom_series(3, "glioma", "1.2.4")], "confident", "confident", 3, 2
        ),
        "good and bad files": Case([b"junk", picture(), b""], "confident", "confident", 1, 1),
        "empty file": Case([b""], "confident", "empty-file"),
        "no picture": Case([b"junk"], "confident", "not-an-image"),
        "truncated": Case([picture()[:200]], "confident", "damaged-image"),
    }  # fmt: skip


CASES = cases()


ANSWERED = [name for name, case in CASES.items() if case.verdict in words.VERDICTS]
REFUSED = [name for name in CASES if name not in ANSWERED]


@pytest.fixture
def case(request):
    return CASES[request.param]


def with_limit(classifier, limit):
    """Return the shipped network where all is familiar and one class is left, with trust."""
    calibration = classifier.bundle.calibration
    bundle = dataclasses.replace(
        classifier.bundle,
        calibration=dataclasses.replace(
            calibration,
            set_thresholds=same_for_all(0.0),
            gate=dataclasses.replace(calibration.gate, limit=1e9),
            appearance=dataclasses.replace(
                calibration.appearance, limits=calibration.appearance.limits + 1e9
            ),
            trust=dataclasses.replace(calibration.trust, limit=limit),
        ),
    )
    return Classifier(bundle, classifier.engine)


@pytest.fixture(scope="session")
def doubting(classifier):
    return with_limit(classifier, 1.5)


@pytest.fixture(scope="session")
def trusting(classifier):
    return with_limit(classifier, 0.0)


@pytest.fixture
def model(case, request):
    """Return the model of the case, within the limits of its server."""
    found = request.getfixturevalue(case.model)
    limits = dataclasses.replace(ScanLimits(), **case.settings)
    return Classifier(found.bundle, found.engine, limits=limits)


@pytest.fixture
def client(case, model):
    return client_of(model, **case.settings)


def send(client, case, url):
    parts = [(io.BytesIO(data), f"{place}") for place, data in enumerate(case.files)]
    return client.post(url, data={"file": parts} | case.options)


def shown_words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def printed(model, case, folder, monkeypatch, capsys, form="--json"):
    """Return what the command line prints of the case."""
    for place, data in enumerate(case.files):
        (folder / f"{place:03d}").write_bytes(data)
    monkeypatch.setattr(predict_command, "load_classifier", lambda *_: model)
    plane = ["--plane", case.options.get("plane", "axial")]
    force = ["--force"] if case.options.get("force") else []
    predict_command.main([str(folder), form, *plane, *force])
    return capsys.readouterr().out


def plain_json(result):
    """Return what an answer of the API or the command line says: its study where it has one."""
    said = result["study"] or result
    names = ("verdict", "headline", "verdict_reason", "label", "confidence", "probabilities",
             "prediction_set", "coverage", "trust", "trust_limit")  # fmt: skip
    return {name: said[name] for name in names} | {
        "slice_count": result["slice_count"],
        "forced": result["forced"],
    }


def plain_row(row):
    """Return the same of a line of the CSV, as text."""
    prefix = "study_" if row["study_verdict"] else ""
    said = {name: row[prefix + name] for name in ("verdict", "headline", "verdict_reason", "label")}
    said["confidence"] = float(row[f"{prefix}confidence"])
    said["probabilities"] = {name: float(row[f"{prefix}p_{name}"]) for name in LABELS}
    said["prediction_set"] = row[f"{prefix}prediction_set"].split("+")
    said["coverage"] = float(row[f"{prefix}coverage"])
    said["trust"] = float(row[f"{prefix}trust"]) if row[f"{prefix}trust"] else None
    said["trust_limit"] = float(row["trust_limit"]) if row["trust_limit"] else None
    return said | {"slice_count": int(row["slice_count"])}


def same(found, expected):
    """Compare numbers to a millionth: the batches may differ, and with them the last digit."""
    for name, value in expected.items():
        if name not in found:
            continue
        if isinstance(value, (float, dict)):
            assert found[name] == pytest.approx(value, abs=1e-6), name
        else:
            assert found[name] == value, name


def check_shown(text, said, forced):
    """Hold the words of the page or the PDF against the answer."""
    study = said["slice_count"] > 1
    badge = words.VERDICTS[said["verdict"]].badge
    count = f"{badge}, for the study of {said['slice_count']} slices"
    assert (count if study else badge) in text
    assert said["headline"] in text
    assert (words.FORCED in text) == forced
    if said["verdict"] == "unfamiliar":
        assert words.NO_CLASS in text and "calibrated probability" not in text
        return
    name = words.SHORT_NAMES[said["label"]]
    assert f"{words.percent(said['confidence'])} calibrated probability of {name}" in text
    for label in LABELS:
        share = words.percent(said["probabilities"][label])
        assert f"{words.SHORT_NAMES[label]} {share}" in text
    chosen = ", ".join(words.SHORT_NAMES[label] for label in said["prediction_set"])
    assert f"Prediction set: {chosen}" in text
    assert f"Target coverage {said['coverage'] * 100:g} %" in text
    if len(said["prediction_set"]) == 1:
        assert text.count(said["verdict_reason"]) == 1


@pytest.mark.parametrize("case", ANSWERED, indirect=True)
def test_six_writers_say_the_same(case, model, client, tmp_path, monkeypatch, capsys):
    view = send(client, case, "/view")
    told = json.loads(parts_of(view.headers["Content-Type"], view.data)["answer"])
    said = plain_json(told["result"])
    assert (said["verdict"], said["slice_count"]) == (case.verdict, case.slices)
    assert told["summary"] == {"headline": said["headline"], "verdict": said["verdict"]}

    results = send(client, case, "/api/v1/predict").json["results"]
    same(plain_json(results[case.main]), said)

    table = send(client, case, "/api/v1/predict?format=csv").text
    rows = [
        row
        for row in csv.DictReader(io.StringIO(table, newline=""))
        if row["series"] == str(told["viewer"]["series"])
    ]
    assert len(rows) == case.slices
    same(plain_row(rows[0]), said)

    for row in json.loads(printed(model, case, tmp_path, monkeypatch, capsys))["results"]:
        if row["file"].endswith(f"{case.main:03d}"):
            same(plain_json(row), said)
            break
    else:
        raise AssertionError("the command line has no row for the main series")

    pages = send(client, case, "/").text, told["html"]
    (pdf,) = PdfReader(io.BytesIO(send(client, case, "/api/v1/report").data)).pages
    for text in (*map(shown_words, pages), " ".join(pdf.extract_text().split())):
        check_shown(text.replace("Prediction set : ", "Prediction set: "), said, said["forced"])


@pytest.mark.parametrize("case", REFUSED, indirect=True)
def test_six_writers_refuse_for_the_same_reason(case, model, client, tmp_path, monkeypatch, capsys):
    urls = ("/view", "/api/v1/predict", "/api/v1/predict?format=csv", "/api/v1/report")
    problems = [send(client, case, url) for url in urls]
    first = problems[0].get_json(force=True)
    assert first["code"] == case.verdict
    for problem in problems:
        assert problem.status_code == first["status"]
        assert problem.get_json(force=True)["detail"] == first["detail"]
    page = send(client, case, "/")
    assert page.status_code == first["status"] and first["detail"] in shown_words(page.text)
    (row,) = json.loads(printed(model, case, tmp_path, monkeypatch, capsys))["results"]
    assert row["code"] == first["code"] and first["detail"] in row["error"]


def test_every_verdict_and_error_is_among_the_uploads():
    assert {case.verdict for case in CASES.values()} > set(words.VERDICTS)
    assert len(CASES) >= 20
