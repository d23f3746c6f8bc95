"""A model folder is used only if it is whole, unchanged and made for this program."""

import json
import shutil
import sys

import pytest

from brain_cnn.errors import BundleError, SettingsError
from brain_cnn.inference.bundle import NCNN_NAMES, BundleOrigin, load_bundle, write_bundle_json
from brain_cnn.inference.classifier import load_classifier
from brain_cnn.inference.engines import make_engine
from brain_cnn.labels import LABELS

FILES = ["brain_cnn.onnx", "brain_cnn.keras", *NCNN_NAMES, "calibration.json"]


@pytest.fixture
def folder(confident_bundle, tmp_path):
    return shutil.copytree(confident_bundle, tmp_path / "model")


def edit(folder, **changes):
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder):
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    return str(caught.value)


def test_whole_bundle_loads(folder):
    bundle = load_bundle(folder)
    assert bundle.labels == LABELS
    assert bundle.sha256 == bundle.info["files"]["brain_cnn.onnx"]


@pytest.mark.parametrize("name", FILES)
def test_fingerprint_is_of_all_that_an_answer_depends_on(folder, name):
    before = load_bundle(folder)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    write_bundle_json(folder, **load_bundle_info(folder), files=FILES, origin=BundleOrigin())
    after = load_bundle(folder)
    assert after.fingerprint != before.fingerprint
    assert (after.sha256 != before.sha256) == (name == "brain_cnn.onnx")


def test_environment_names_the_bundle(folder, monkeypatch):
    monkeypatch.setenv("BRAIN_CNN_MODEL", str(folder))
    assert load_bundle().path == folder


def test_missing_folder_is_named(tmp_path):
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")


def test_missing_bundle_json_is_named(folder):
    (folder / "bundle.json").unlink()
    assert "bundle.json" in refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"lacks {name}" in refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_noticed(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    message = refusal(folder)
    assert name in message and "damaged" in message


def test_bundle_json_that_is_no_json_is_said(folder):
    (folder / "bundle.json").write_text("{")
    assert "bundle.json cannot be read" in refusal(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"labels": []}'])
def test_bundle_json_without_its_entries_is_said(folder, text):
    (folder / "bundle.json").write_text(text)
    assert "bundle.json lacks" in refusal(folder)


def test_other_preprocessing_version_is_refused(folder):
    edit(folder, preprocess_version=999)
    assert "preprocessing version 999" in refusal(folder)


def test_other_format_is_refused(folder):
    edit(folder, format=999)
    assert "format 999" in refusal(folder)


def test_other_class_order_is_refused(folder):
    edit(folder, labels=list(reversed(LABELS)))
    assert "classes" in refusal(folder)


@pytest.mark.parametrize("size", ["160", 0, -1, True, None])
def test_input_size_must_be_a_number_of_pixels(folder, size):
    edit(folder, input_size=size)
    assert "input_size" in refusal(folder)


def test_bundle_lists_only_its_own_files(folder):
    info = json.loads((folder / "bundle.json").read_text())
    edit(folder, files=info["files"] | {"../secret": "0"})
    assert "../secret" in refusal(folder)


def test_unlisted_network_is_refused(folder):
    edit(folder, files={"calibration.json": "0"})
    assert "checksums" in refusal(folder)


def test_writing_an_incomplete_bundle_is_refused(folder):
    (folder / "brain_cnn.onnx").unlink()
    (folder / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"brain_cnn\.onnx"):
        write_bundle_json(
            folder,
            name="x",
            version="0",
            input_size=160,
            files=["brain_cnn.onnx", "brain_cnn.keras", "calibration.json"],
            origin=BundleOrigin(),
        )
    assert not (folder / "bundle.json").exists()


def test_network_that_cannot_run_is_said(folder):
    (folder / "brain_cnn.onnx").write_bytes(b"not a network")
    files = ["brain_cnn.onnx", "brain_cnn.keras", "calibration.json"]
    info = load_bundle_info(folder)
    write_bundle_json(folder, **info, files=files, origin=BundleOrigin())
    with pytest.raises(BundleError, match="ONNX Runtime cannot run"):
        make_engine(load_bundle(folder), "onnx", 1)


def test_bundle_without_a_network_for_ncnn_names_the_engine_that_goes(folder):
    for name in NCNN_NAMES:
        (folder / name).unlink()
    info = load_bundle_info(folder)
    files = ["brain_cnn.onnx", "brain_cnn.keras", "calibration.json"]
    write_bundle_json(folder, **info, files=files, origin=BundleOrigin())
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="'onnx'"):
        make_engine(bundle, "ncnn", 1)
    make_engine(bundle, "onnx", 1)


@pytest.mark.parametrize(
    ("engine", "module", "other"),
    [
        ("ncnn", "ncnn", "'onnx'"),
        ("onnx", "onnxruntime", "'ncnn'"),
        ("tensorflow", "tensorflow", "requirements.txt"),
    ],
)
def test_engine_that_is_not_installed_is_said(folder, monkeypatch, engine, module, other):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BundleError, match=f"not installed here.*{other}"):
        make_engine(load_bundle(folder), engine, 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: "no graph", "ncnn cannot load"),
        (lambda text: text.replace(" features", " others"), "ncnn cannot run"),
    ],
)
def test_network_that_ncnn_cannot_use_is_said(folder, damage, said):
    graph, _ = NCNN_NAMES
    (folder / graph).write_text(damage((folder / graph).read_text()))
    info = load_bundle_info(folder)
    write_bundle_json(folder, **info, files=FILES, origin=BundleOrigin())
    with pytest.raises(BundleError, match=said):
        make_engine(load_bundle(folder), "ncnn", 1)


def load_bundle_info(folder):
    info = json.loads((folder / "bundle.json").read_text())
    return {key: info[key] for key in ("name", "version", "input_size")}


def test_unknown_engine_and_coverage_are_refused(folder):
    with pytest.raises(SettingsError, match="nonsense"):
        load_classifier(folder, engine="nonsense")
    with pytest.raises(SettingsError, match=r"0\.5"):
        load_classifier(folder, coverage=0.5)
