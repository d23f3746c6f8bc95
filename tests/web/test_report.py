"""The one-page PDF: what it holds, what it must not hold, and that it can be read aloud."""

import dataclasses
import io

import numpy as np
import pytest
from conftest import client_of, encode, upload
from pypdf import PdfReader
from scanfiles import SECRETS, dicom

from brain_cnn.labels import DISCLAIMER, DISPLAY_NAMES, LABELS
from brain_cnn.phantoms import draw_phantom
from brain_cnn.render.words import SHORT_NAMES
from brain_cnn.web.presenters.report_content import report_content

NAME = "Doe^Jane 1970-01-01.png"


def report(client, *files, url="/report", **fields):
    parts = {"file": [(io.BytesIO(data), NAME) for data in files]}
    return client.post(url, data=parts | fields, content_type="multipart/form-data")


def read(response):
    assert response.status_code == 200, response.text
    assert response.content_type == "application/pdf"
    return PdfReader(io.BytesIO(response.data))


def words(reader):
    """Return the text of the one page, line breaks as spaces."""
    (page,) = reader.pages
    return " ".join(page.extract_text().split())


def series(count=6):
    return [
        dicom(
            draw_phantom("meningioma", n).astype(np.uint16),
            InstanceNumber=n + 1,
            ImagePositionPatient=[0, 0, 5.0 * n],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("url", ["/report", "/api/v1/report"])
def test_report_is_one_page_with_class_model_and_disclaimer(confident, url, phantom_png):
    client = client_of(confident)
    response = report(client, phantom_png, url=url)
    assert "attachment" in response.headers["Content-Disposition"]
    assert "brain-cnn-report.pdf" in response.headers["Content-Disposition"]
    said = words(read(response))
    (result,) = upload(client, phantom_png).json["results"]
    assert DISPLAY_NAMES[result["label"]] in said
    assert said.count(DISCLAIMER) >= 2
    assert result["model"]["version"] in said and result["model"]["sha256"][:12] in said
    for label in LABELS:
        assert f"{SHORT_NAMES[label]} {result['probabilities'][label] * 100:.1f} %" in said
    for check in result["reasons"]:
        assert check["sentence"] in said


def test_report_of_an_unfamiliar_picture_names_no_class(refusing, phantom_png):
    for files in ([phantom_png], series(5)):
        said = words(read(report(client_of(refusing), *files))).lower()
        assert "refused" in said and "names no class" in said and "failed" in said
        # The limits and the training data name what the model knows; the answer does not.
        answer = said[: said.index("the model model")]
        assert not [name for name in SHORT_NAMES.values() if name in answer]
        assert "evidence for" not in said and "prediction set:" not in said


def test_report_of_a_study_has_its_verdict_and_curve(confident):
    client = client_of(confident)
    files = series()
    said = words(read(report(client, *files)))
    study = upload(client, *files).json["results"][0]["study"]
    assert "study of 6 slices" in said and "Probability along the 6 slices" in said
    assert f"Slice {study['strongest_slice'] + 1} of 6, the most telling" in said
    assert f"{study['familiar_slices']} of 6 slices are like those" in said
    assert f"{study['probabilities'][study['label']] * 100:.1f} %" in said


def test_another_slice_can_be_asked_for(confident):
    client, files = client_of(confident), series()
    said = words(read(report(client, *files, slice_index="2")))
    assert "Slice 3 of 6, as it was judged" in said
    response = report(client, *files, url="/api/v1/report", slice_index="6")
    assert response.status_code == 422 and "6 slices" in response.json["detail"]


def test_refused_slice_of_a_study_that_is_answered_shows_no_evidence(confident):
    client = client_of(confident)
    answers, _ = confident.classify_together(series())
    study = answers[0].study
    alone = dataclasses.replace(study.slices[1], familiar=False, verdict="unfamiliar")
    study = dataclasses.replace(study, slices=(study.slices[0], alone, *study.slices[2:]))
    with client.application.test_request_context():
        content = report_content(answers[0], study, 1)
    assert content.overlay_pixels is None and content.columns == ("Probability",)
    assert any("not judged alone" in sentence for sentence in content.sentences)
    assert content.rows and "Refused" not in content.badge


@pytest.mark.parametrize(("paper", "size"), [("a4", (595, 842)), ("letter", (612, 792))])
def test_paper_is_a4_or_letter(client, phantom_png, paper, size):
    box = read(report(client, phantom_png, paper=paper)).pages[0].mediabox
    assert (round(box.width), round(box.height)) == size


def test_unknown_paper_is_400(client, phantom_png):
    response = report(client, phantom_png, url="/api/v1/report", paper="a3")
    assert response.status_code == 400 and "letter" in response.json["detail"]


def test_same_upload_gives_the_same_bytes(client, phantom_png):
    assert report(client, phantom_png).data == report(client, phantom_png).data


def test_nothing_of_a_person_is_in_the_report(confident, phantom):
    data = dicom(phantom.astype(np.uint16))
    response = report(client_of(confident), data)
    reader = read(response)
    everything = words(reader) + str(reader.metadata) + response.data.decode("latin-1")
    assert "Doe^" not in everything and "1970-01-01" not in everything
    assert not [secret for secret in SECRETS if secret.lower() in everything.lower()]
    # Nor when it was made: ReportLab's invariant date.
    assert reader.metadata.creation_date.year == 2000


def test_document_has_title_language_and_alternatives(client, phantom_png):
    reader = read(report(client, phantom_png))
    root = reader.trailer["/Root"]
    assert reader.metadata.title == "Brain CNN report" and root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"].value is True
    roles, alternatives = [], []

    def walk(element):
        element = element.get_object()
        if not isinstance(element, dict):
            return
        roles.append(element.get("/S"))
        alternatives.append(element.get("/Alt"))
        children = element.get("/K")
        for child in children if isinstance(children, list) else [children]:
            if hasattr(child, "get_object"):
                walk(child)

    walk(root["/StructTreeRoot"]["/K"])
    assert roles[1] == "/H1" and roles.count("/Table") >= 3 and "/TH" in roles
    assert roles.count("/Figure") == len([alt for alt in alternatives if alt])
    assert roles.count("/Figure") >= 1


def test_marks_of_the_page_and_of_the_tree_are_the_same(client, phantom_png):
    reader = read(report(client, phantom_png))
    page = reader.pages[0]
    assert page["/StructParents"] == 0
    numbers = reader.trailer["/Root"]["/StructTreeRoot"]["/ParentTree"]["/Nums"]
    marked = numbers[1].get_object()
    content = page.get_contents().get_data()
    assert content.count(b"/MCID") == len(marked)
    assert content.count(b"BDC") + content.count(b"BMC") == content.count(b"EMC")


def test_reading_order_is_verdict_then_table_then_limits(confident, phantom_png):
    said = words(read(report(client_of(confident), phantom_png)))
    order = [said.index(w) for w in ("Confident", "Class", "Is it like", "The model", "Limits")]
    assert order == sorted(order)


def test_fullest_report_still_fits_one_page(confident, phantom):
    from brain_cnn.render.report import Curve, ProbabilityRow, ReportContent, draw_report

    many = 512
    content = ReportContent(
        badge="Uncertain, study of 512 slices",
        headline="Uncertain: none of these tumours, pituitary tumour or meningioma " * 2,
        sentences=("A sentence of some length that says what was found in the study. " * 3,) * 5,
        slice_pixels=phantom,
        slice_words="Slice 300 of 512, the most telling, as it was judged.",
        overlay_pixels=np.dstack([phantom] * 3),
        overlay_words="Evidence for none of these tumours (Grad-CAM): violet is weak. " * 2,
        columns=("Study", "This slice"),
        rows=tuple(ProbabilityRow(n, 0.25, ("25.0 %", "25.0 %"), True) for n in LABELS),
        checks=(("The picture is far from those it knows. " * 3, "10", "11", "failed"),) * 6,
        curve=Curve(LABELS, np.full((many, 4), 0.5), 299),
        scan=(("Weighting (a guess)", "T1 contrast-enhanced"),) * 5,
        model=(("Learned from", "slices of several hospitals and three releases " * 3),) * 7,
        limits=("A limit that takes about a line and a half to be told to a reader. " * 2,) * 4,
    )
    for paper in ("a4", "letter"):
        reader = PdfReader(io.BytesIO(draw_report(content, paper)))
        said = words(reader)
        assert said.count(DISCLAIMER) == 2  # the last line is on the page
        assert said.rstrip().endswith(DISCLAIMER)


def test_characters_that_the_fonts_lack_do_not_break_it(phantom):
    from brain_cnn.render.report import ReportContent, draw_report

    content = ReportContent("Refused", "≥ 脳 \x00 – “x”", (), phantom, "slice")
    assert "– “x”" in words(PdfReader(io.BytesIO(draw_report(content))))


def test_bad_upload_is_a_problem_or_a_page(client):
    assert report(client, b"junk", url="/api/v1/report").status_code == 415
    response = report(client, b"junk")
    assert response.status_code == 415 and "<html" in response.text
    assert client.post("/api/v1/report").status_code == 400


def test_form_of_another_site_is_refused(client, phantom_png):
    part = {"file": (io.BytesIO(phantom_png), "a.png")}
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/report", data=part, headers=headers).status_code == 403


def test_report_works_without_measurements(classifier, phantom_png, monkeypatch):
    from brain_cnn.web.presenters import measured

    monkeypatch.setattr(measured, "_read", lambda bundle: {})
    said = words(read(report(client_of(classifier), phantom_png)))
    assert classifier.bundle.version in said and "Right, unseen" not in said


def test_picture_in_the_report_is_the_slice(client):
    pixels = draw_phantom("glioma", 5)
    images = read(report(client, encode(pixels))).pages[0].images
    assert any(np.array_equal(np.asarray(i.image.convert("L")), pixels) for i in images)
