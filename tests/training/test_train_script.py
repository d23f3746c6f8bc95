"""scripts/train.py as a person runs it: from data to a bundle that serves."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brain_cnn import load_classifier
from brain_cnn.evaluation.predictions import evaluate_file
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import write_phantom_dataset
from tests.realdata import REAL_DATA, ZIP_NAME, needs_real_data

ROOT = Path(__file__).resolve().parents[2]


def _train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("smoke")
    result = _train(folder, "--smoke", "--run-dir", "run", "--out", "bundle")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_smoke_training_makes_a_bundle_that_serves(smoke: tuple[Path, str]) -> None:
    folder, _ = smoke
    classifier = load_classifier(folder / "bundle")
    image = next((folder / "bundle").parent.rglob("accuracy_loss.png")).read_bytes()
    diagnosis = classifier.classify(image)
    assert diagnosis.label in LABELS
    assert sum(diagnosis.probabilities.values()) == pytest.approx(1.0)


def test_training_prints_what_it_trains_on_and_the_results_table(smoke: tuple[Path, str]) -> None:
    _, printed = smoke
    for word in ("glioma", "notumor", "copies", "ours:", "baseline:", "precision", "accuracy"):
        assert word in printed
    assert "epoch   4/4" in printed


def test_every_run_leaves_what_is_needed_to_repeat_it(smoke: tuple[Path, str]) -> None:
    run = smoke[0] / "run"
    for name in ("data_report.json", "versions.json", "results_table.txt"):
        assert (run / name).stat().st_size > 0
    for network in ("ours", "baseline"):
        assert json.loads((run / network / "settings.json").read_text())["seed"] == 0
        assert len((run / network / "results.csv").read_text().splitlines()) == 5
    assert list((run / "figures").glob("*gradcam*.png"))


def test_the_table_follows_from_the_predictions(smoke: tuple[Path, str]) -> None:
    bundle = smoke[0] / "bundle"
    section = json.loads((bundle / "metrics.json").read_text())["official"]
    for network in ("ours", "baseline"):
        again = evaluate_file(bundle / section["predictions"][network])
        assert {name: section[network][name] for name in again} == again


def test_report_only_leaves_the_weights_alone(smoke: tuple[Path, str], tmp_path: Path) -> None:
    bundle = smoke[0] / "bundle"
    before = {p.name: p.read_bytes() for p in bundle.glob("brain_cnn.*")}
    result = _train(
        tmp_path, "--smoke", "--run-dir", "other", "--out", str(bundle), "--report-only",
        "--no-baseline", "--seed", "1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert {p.name: p.read_bytes() for p in bundle.glob("brain_cnn.*")} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--data"),
        (["--smoke", "--set", "colour=blue"], "colour"),
        (["--smoke", "--set", "batch=many"], "many"),
        (["--smoke", "--set", "augment.wobble=1"], "augment.wobble"),
        (["--smoke", "--resume", "--run-dir", "nowhere"], "nowhere"),
        (["--data", "no-such-folder"], "no-such-folder"),
        (["--data", ".", "--split", "protocol"], "--protocol"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    result = _train(tmp_path, *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_is_not_overwritten_by_accident(smoke: tuple[Path, str]) -> None:
    result = _train(smoke[0], "--smoke", "--run-dir", "run")
    assert result.returncode == 2
    assert "--resume" in result.stderr


def test_class_folders_alone_are_split_by_groups(tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path / "drawn", 32, 0)
    result = _train(
        tmp_path, "--smoke", "--data", "drawn/Training", "--split", "grouped",
        "--run-dir", "run", "--no-baseline",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "run" / "bundle" / "metrics.json").read_text())
    assert metrics["grouped"]["leaky"] is False


@needs_real_data
def test_smoke_works_on_the_real_zip(tmp_path: Path) -> None:
    assert REAL_DATA is not None
    result = _train(
        tmp_path, "--data", str(REAL_DATA / ZIP_NAME), "--smoke", "--split", "protocol",
        "--protocol", str(REAL_DATA / "provenance.csv"),
        "--masks", str(REAL_DATA / "masks-trainval.zip"), "--run-dir", "run",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "run" / "data_report.json").read_text())
    assert "7019" in json.dumps(report["release"])
    classifier = load_classifier(tmp_path / "run" / "bundle")
    assert np.isfinite(classifier.bundle.calibration.temperature)
