"""scripts/measure.py: piece by piece, into metrics.json, and from there into the documents."""

import csv
import json
import sys
from pathlib import Path

import pytest
from conftest import ROOT, encode

from brain_cnn.evaluation.tables import NOT_MEASURED, TRUST_REGIONS
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom, draw_phantom_with_mask

sys.path.insert(0, str(ROOT / "scripts"))

import measure

COLUMNS = ("path", "class", "copy_group", "representative", "similarity_group", "label_conflict",
           "protocol_split")  # fmt: skip
PARTS = ("train", "train", "val", "val", "test", "test")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the arguments for a data set of drawn heads, its masks and two other sets."""
    root = tmp_path_factory.mktemp("inputs")
    rows = []
    for label in LABELS:
        for seed, part in enumerate(PARTS):
            name = f"Training/{label}/{label}-{seed}.png"
            image, mask = draw_phantom_with_mask(label, seed)
            for base, pixels in (("data", image), ("masks", mask)):
                if base == "data" or mask.any():
                    (root / base / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / base / name).write_bytes(encode(pixels))
            rows.append([name, label, len(rows), 1, f"{label}{seed // 2}{seed}", 0, part])
    with (root / "protocol.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    for number, (folder, weighting) in enumerate(
        [
            ("glioma", "t1cplus"),
            ("meningioma", "t1cplus"),
            ("notumor", "t1"),
            ("other_lesion", "t1"),
        ]
    ):
        path = root / "external" / folder / f"kind-{weighting}-{number}.png"
        path.parent.mkdir(parents=True)
        drawn = folder if folder in LABELS else "glioma"
        path.write_bytes(encode(draw_phantom(drawn, 90 + number)))
    for folder, weighting, number in [
        ("glioma", "flair", 0),
        ("glioma", "t1", 0),
        ("notumor", "t1", 1),
    ]:
        image, mask = draw_phantom_with_mask(folder, 70 + number)
        path = root / "external2" / folder / f"p00{number}-{weighting}-2.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(image))
        if mask.any():
            (root / "masks2" / folder).mkdir(parents=True, exist_ok=True)
            (root / "masks2" / folder / f"p00{number}-2.png").write_bytes(encode(mask))
    (root / "strangers").mkdir()
    (root / "strangers" / "photo-1.png").write_bytes(encode(draw_phantom("notumor", 5)[::-1, :60]))
    return {
        "--data": str(root / "data"), "--protocol": str(root / "protocol.csv"),
        "--masks": str(root / "masks"), "--external": str(root / "external"),
        "--not-brain": str(root / "strangers"), "--external2": str(root / "external2"),
        "--external2-masks": str(root / "masks2"),
    }  # fmt: skip


def run(inputs: dict[str, str], out: Path, *more: str) -> int:
    given = [word for pair in inputs.items() for word in pair]
    return measure.main([*given, "--out", str(out), "--threads", "1", *more])


def test_every_light_section_lands_in_metrics_json_and_in_its_table(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"training": {"kept": 1}}))
    only = "sureness,refusal,external,external2,localisation,shortcuts"
    assert run(inputs, tmp_path, "--only", only) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["training"] == {"kept": 1}
    assert metrics["sureness"]["ours"]["n"] == 8
    assert metrics["external"]["ours"]["weightings"]["t1 contrast"]["n"] == 3
    assert metrics["localisation"]["ours"]["n"] == 6
    rows = metrics["external2"]["ours"]["rows"]
    assert [(row["class"], row["weighting"]) for row in rows] == [
        ("glioma", "flair"), ("glioma", "t1"), ("notumor", "t1"),
    ]  # fmt: skip
    assert [row["pointing"] and row["pointing"]["n"] for row in rows] == [1, 1, None]
    for name in ("sureness", "selective", "external", "external2", "refusal", "shortcuts"):
        text = TRUST_REGIONS[name](metrics)
        assert text != NOT_MEASURED and "|---|" in text
    assert "10.3389/fmed.2025.1664673" in TRUST_REGIONS["four-numbers"](metrics)
    assert (tmp_path / "figures" / "reliability_ours.svg").is_file()


def test_a_section_measured_alone_leaves_the_other_network_as_it_was(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"corrupted": {"baseline": {"old": 1}, "ours": {"old": 1}}}))
    assert run(inputs, tmp_path, "--only", "corrupted", "--limit", "2") == 0
    corrupted = json.loads(path.read_text())["corrupted"]
    assert corrupted["baseline"] == {"old": 1}
    assert len(corrupted["ours"]["kinds"]) == 6
    assert all(len(k["severities"]) == 5 for k in corrupted["ours"]["kinds"].values())
    table = TRUST_REGIONS["corrupted"]({"corrupted": {"ours": corrupted["ours"]}})
    assert "| ours | all |" in table


def test_explanations_are_measured_for_the_baseline_too(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    """A baseline of another input size, whose Grad-CAM needs its gradient."""
    pytest.importorskip("tensorflow")
    from brain_cnn.training.network import build_baseline

    build_baseline(64).save(tmp_path / "baseline.keras")
    more = ("--only", "localisation,faithfulness", "--limit", "2")
    assert run(inputs, tmp_path, *more, "--baseline", str(tmp_path / "baseline.keras")) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("ours", "baseline"):
        assert metrics["localisation"][name]["n"] == 2
        section = metrics["faithfulness"][name]
        assert section["randomisation"]["similarity_noise"]["value"] > 0.3
        assert abs(section["randomisation"]["similarity_randomised"]["value"]) < 0.9
        assert section["tumour_removed"]["n"] + section["tumour_removed"]["not_editable"] == 2
    table = TRUST_REGIONS["faithfulness"](metrics)
    assert "| check | ours | baseline |" in table


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    assert {region({}) for region in TRUST_REGIONS.values()} == {NOT_MEASURED}


def test_an_unknown_section_and_a_missing_input_are_named(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(inputs, tmp_path, "--only", "sureness,luck") == 2
    assert "luck" in capsys.readouterr().err
    assert measure.main(["--only", "external", "--out", str(tmp_path)]) == 2
    assert "--external" in capsys.readouterr().err
