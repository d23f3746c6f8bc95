"""The real DICOM and NIfTI files: pinned pixels, and the verdicts that they must not get."""

import io
import zipfile

import numpy as np
import pytest
from conftest import client_of, upload
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate
from realdata import REAL_DATA, needs_real_data
from scanfiles import ENCODERS, recompressed, save

from brain_cnn.errors import ScanError
from brain_cnn.scan import read_files, read_scan

pytestmark = needs_real_data


@pytest.fixture(scope="module")
def scans():
    with zipfile.ZipFile(REAL_DATA / "scans.zip") as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


def folder(scans, name):
    return [scans[n] for n in sorted(scans) if n.startswith(name + "/") and n.endswith(".dcm")]


@pytest.mark.parametrize(
    ("syntax", "options"), ENCODERS, ids=lambda value: getattr(value, "name", "")
)
def test_real_slice_survives_every_encoder(scans, syntax, options):
    data = scans["dicom-series-t1/N2D_0192.dcm"]
    expected = read_scan(data).slices[0].pixels.astype(int)
    found = read_scan(recompressed(data, syntax, options)).slices[0].pixels.astype(int)
    if options:
        assert np.abs(found - expected).mean() <= 0.02 * 255
    else:
        assert np.array_equal(found, expected)


def test_real_slice_survives_eight_bit_jpeg(scans):
    from PIL import Image

    data = scans["dicom-series-t1/N2D_0192.dcm"]
    expected = read_scan(data).slices[0].pixels
    dataset = dcmread(io.BytesIO(data))
    file = io.BytesIO()
    Image.fromarray(expected).save(file, "JPEG", quality=95)
    dataset.Rows, dataset.Columns = expected.shape
    dataset.PixelSpacing = [1, 1]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    dataset.PixelData = encapsulate([file.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    found = read_scan(save(dataset)).slices[0].pixels.astype(int)
    assert np.abs(found - expected).mean() <= 0.02 * 255


def test_t1_series_is_one_stack_in_order(scans):
    files = folder(scans, "dicom-series-t1")
    ((one,), problems) = read_files(files[::-1])
    positions = [s.position_mm for s in one.scan.slices]
    assert not problems and len(positions) == 32 and positions == sorted(positions)
    assert one.sources == tuple(range(31, -1, -1))
    assert one.scan.facts.weighting == "T1" and one.scan.facts.plane == "axial"
    assert one.scan.slices[0].pixels.shape == (384, 288), "0.667 x 0.700 mm became square"


@pytest.mark.parametrize("name", ["dicom-series-t1", "dicom-series-pd"])
def test_normal_series_is_not_called_a_confident_tumour(classifier, scans, name):
    study = classifier.classify_study(folder(scans, name))
    assert not (study.verdict == "confident" and study.label != "notumor"), study


@pytest.mark.parametrize("name", ["t1", "mr"])
def test_series_and_volume_get_a_study_answer_on_page_and_api(confident, scans, name):
    if name == "t1":
        files, count = folder(scans, "dicom-series-t1"), 32
    else:
        files, count = [scans["nifti/MR_Gd.nii.gz"]], 144
    client = client_of(confident)
    results = upload(client, *files).json["results"]
    assert results[0]["study"]["slice_count"] == count
    assert sum(len(r["slices"]) for r in results) == count
    assert f"study of {count} slices" in upload(client, *files, url="/").text


def test_head_ct_volume_is_refused_by_familiarity(classifier, scans):
    assert classifier.classify_study(scans["nifti/CT_AVM.nii.gz"]).verdict == "unfamiliar"


@pytest.mark.parametrize("name", ["jpeg_2000", "rle", "jpeg_lossless_sel1"])
def test_ct_dicom_is_refused_by_modality(classifier, scans, name):
    with pytest.raises(ScanError, match="This is a CT; the model knows MRI only"):
        classifier.classify(scans[f"dicom-encodings/{name}.dcm"])


def test_whole_archive_is_grouped_into_its_series():
    found, problems = read_files([(REAL_DATA / "scans.zip").read_bytes()])
    counts = sorted(len(one.scan.slices) for one in found)
    assert not problems and len(found) == 24 and counts[-4:] == [32, 96, 144, 154]


def test_no_patient_data_in_any_answer(confident, scans):
    client = client_of(confident)
    keywords = (
        "PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "StudyDate",
        "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SeriesDescription",
    )  # fmt: skip
    for name in ("dicom-series-pd/brain_003.dcm", "dicom-encodings/implicit_little.dcm"):
        header = dcmread(io.BytesIO(scans[name]), stop_before_pixels=True)
        secrets = {str(header.get(k) or "") for k in keywords}
        secrets = {secret for secret in secrets if len(secret) > 3} - {"FLAIR"}
        for url in ("/", "/api/v1/predict", "/view"):
            said = upload(client, scans[name], url=url).data
            assert not [secret for secret in secrets if secret.encode() in said], name
