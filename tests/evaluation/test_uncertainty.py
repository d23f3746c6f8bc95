"""Promises of the measures of uncertainty: known truths give known numbers."""

import numpy as np
import pytest

from brain_cnn.errors import DatasetError
from brain_cnn.evaluation.external import (
    ExternalSet,
    evaluate_external,
    evaluate_refusal,
    read_external,
    read_pictures,
)
from brain_cnn.evaluation.models import Predictions
from brain_cnn.evaluation.shortcuts import shortcut_audit
from brain_cnn.evaluation.uncertainty import auroc, coverage_table, reliability, selective, verdicts
from brain_cnn.inference.calibration import Calibration
from brain_cnn.inference.conformal import COVERAGES, same_for_all
from brain_cnn.inference.diagnosis import Prediction
from brain_cnn.labels import LABELS
from brain_cnn.scan.types import Slice

TOP_ONLY = Calibration.identity()
EVERYTHING = Calibration(1.0, same_for_all(1.0))


def predicted(
    top: list[int],
    chance: float | list[float] = 0.91,
    *,
    familiar: np.ndarray | None = None,
    familiarity: np.ndarray | None = None,
    calibration: Calibration = TOP_ONLY,
) -> Predictions:
    """Return the predictions of a model that names `top` with `chance`, the rest evenly."""
    chances = np.broadcast_to(np.asarray(chance, dtype=float), (len(top),))
    items = []
    for place, label in enumerate(top):
        row = np.full(4, (1 - chances[place]) / 3)
        row[label] = chances[place]
        passed = familiar is None or bool(familiar[place])
        labels = calibration.prediction_set(row, 0.95)
        items.append(
            Prediction(
                label=LABELS[label],
                confidence=float(chances[place]),
                probabilities=dict(zip(LABELS, row.tolist(), strict=True)),
                prediction_set=labels,
                coverage=0.95,
                familiar=passed,
                familiarity=1.0 if familiarity is None else float(familiarity[place]),
                reasons=(),
                verdict=calibration.verdict(passed, labels),
            )
        )
    return Predictions(tuple(items), calibration)


def test_a_model_as_sure_as_right_lies_within_what_a_perfect_one_shows() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.4, 1.0, 2000)
    truth = np.where(rng.random(2000) < chance, 0, 1)
    result = reliability(predicted([0] * 2000, chance.tolist()), truth, None)
    assert result["ece"]["value"] < result["ece_perfect"]["high"] * 1.2
    assert sum(row["n"] for row in result["bins"]) == 2000
    for row in result["bins"]:
        assert row["low_edge"] <= row["confidence"] <= row["high_edge"] + 1e-6
    boastful = reliability(predicted([0] * 2000, 0.99), truth, None)
    assert boastful["ece"]["low"] > boastful["ece_perfect"]["high"]


def test_coverage_is_measured_for_all_and_for_each_class() -> None:
    truth = np.array([0, 0, 1, 3])
    table = coverage_table(predicted([0, 0, 0, 3]), truth, ["a", "a", "b", "c"])
    assert set(table) == {"0.90", "0.95", "0.99"}
    row = table["0.95"]
    assert row["all"]["coverage"]["value"] == 0.75 and row["all"]["size"]["value"] == 1.0
    assert row["meningioma"]["coverage"]["value"] == 0.0
    assert row["all"]["groups"] == 3 and "notumor" not in row
    wide = coverage_table(predicted([0, 0, 0, 3], calibration=EVERYTHING), truth, None)
    assert wide["0.95"]["all"]["coverage"]["value"] == 1.0
    assert wide["0.95"]["all"]["size"]["value"] == 4.0


def test_shares_of_set_sizes_and_what_so_few_patients_can_reach_are_named() -> None:
    truth = np.array([0, 0, 0, 3])
    limits = (0.5, 0.8, 0.8, 0.5)
    calibration = Calibration(1.0, dict.fromkeys(COVERAGES, limits), set_groups=(9, 0, 40, 19))
    # The rest is spread evenly: at .28 each other label has .24, at .91 each has .03.
    part = predicted([0, 0, 0, 3], [0.91, 0.91, 0.28, 0.91], calibration=calibration)
    table = coverage_table(part, truth, None)
    sizes = {name: row["value"] for name, row in table["0.95"]["all"]["sizes"].items()}
    assert sizes == {"1": 0.75, "2": 0.0, "3": 0.25, "4": 0.0}
    glioma, pituitary = table["0.95"]["glioma"], table["0.95"]["pituitary"]
    assert (glioma["val_groups"], glioma["floor"]) == (9, 0.9)
    assert (pituitary["val_groups"], pituitary["floor"]) == (19, 0.95)
    assert table["0.90"]["glioma"]["floor"] == 0.9 and "floor" not in table["0.95"]["all"]


def test_confident_needs_a_familiar_slice_and_a_set_of_one() -> None:
    familiar = np.array([True, False, True])
    truth = np.array([0, 1, 2])
    result = verdicts(predicted([0, 1, 0], familiar=familiar), truth, None)
    assert result["confident"]["value"] == pytest.approx(2 / 3, abs=1e-5)
    assert result["unfamiliar"]["value"] == pytest.approx(1 / 3, abs=1e-5)
    assert result["accuracy_of_confident"]["value"] == 0.5
    assert result["accuracy_of_confident"]["n"] == 2
    nobody = verdicts(predicted([0, 1, 0], calibration=EVERYTHING), truth, None)
    assert nobody["confident"]["value"] == 0.0
    assert nobody["accuracy_of_confident"] == {
        "n": 0, "groups": None, "value": None, "low": None, "high": None,
    }  # fmt: skip


def test_selective_prediction_answers_the_surest_first() -> None:
    truth = np.zeros(10, dtype=np.int64)
    rows = selective(predicted([0] * 5 + [1] * 5, [0.9] * 5 + [0.6] * 5), truth, None)
    assert rows[0]["share"] == 1.0 and rows[0]["accuracy"]["value"] == 0.5
    assert rows[-1]["share"] == 0.5 and rows[-1]["accuracy"]["value"] == 1.0
    stranger = predicted([0] * 10, [0.99] * 5 + [0.5] * 5, familiar=np.arange(10) >= 5)
    rows = selective(stranger, np.array([1] * 5 + [0] * 5), None)
    assert rows[-1]["accuracy"]["value"] == 1.0  # what is unfamiliar comes last, however sure


def test_auroc_is_that_of_scikit_learn_and_its_interval_is_over_groups() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    high, low = np.round(rng.normal(1, 1, 60), 1), np.round(rng.normal(0, 1, 40), 1)
    result = auroc(high, low)
    expected = roc_auc_score([1] * 60 + [0] * 40, np.concatenate([high, low]))
    assert result["value"] == pytest.approx(expected, abs=1e-6)
    grouped = auroc(high, low, groups_higher=[i // 20 for i in range(60)])
    assert grouped["high"] - grouped["low"] > 0
    assert auroc(np.ones(3) + 5, low)["value"] == 1.0


def external_set(rows: list[tuple[str, str]]) -> ExternalSet:
    pixels = np.zeros((8, 8), np.uint8)
    return ExternalSet(
        [Slice(pixels) for _ in rows], [k for k, _ in rows], [w for _, w in rows],
        [str(i) for i in range(len(rows))],
    )  # fmt: skip


def test_contrast_tumours_are_compared_with_plain_normals() -> None:
    data = external_set(
        [("glioma", "t1cplus"), ("meningioma", "t1cplus"), ("notumor", "t1"), ("glioma", "t2"),
         ("notumor", "t2"), ("other_lesion", "t2"), ("glioma", "t1cplus")]
    )  # fmt: skip
    called = [0, 2, 2, 2, 0, 0, 0]
    result = evaluate_external(predicted(called), data, None)
    assert "development" in result["protocol"]
    contrast = result["weightings"]["t1 contrast"]
    assert contrast["n"] == 4
    assert contrast["balanced_accuracy"]["value"] == pytest.approx((1 + 0 + 1) / 3, abs=1e-5)
    assert contrast["tumour_called_notumor"]["n"] == 3
    assert contrast["tumour_confidently_notumor"]["value"] == pytest.approx(1 / 3, abs=1e-5)
    whole = result["weightings"]["all"]
    assert whole["n"] == 6 and whole["tumour_confidently_notumor"]["n"] == 4
    assert whole["answered"]["value"] == 1.0
    assert whole["accuracy_of_confident"]["value"] == pytest.approx(3 / 6, abs=1e-5)
    assert result["other_lesion"]["confidently_a_tumour"]["value"] == 1.0


def test_an_unsure_miss_is_not_a_confident_one() -> None:
    data = external_set([("glioma", "t1cplus"), ("notumor", "t1")])
    result = evaluate_external(predicted([2, 2], calibration=EVERYTHING), data, None)
    row = result["weightings"]["t1 contrast"]
    assert row["tumour_called_notumor"]["value"] == 1.0
    assert row["tumour_confidently_notumor"]["value"] == 0.0
    assert row["accuracy_of_confident"]["value"] is None


def test_refusal_is_told_by_kind_and_against_the_test_slices() -> None:
    names = ["photo-001.jpg", "photo-002.jpg", "head-ct-001.jpg"]
    outliers = predicted([0, 0, 0], familiar=np.array([False, False, True]),
                     familiarity=np.array([0.0, 0.1, 0.6]))  # fmt: skip
    test = predicted([0, 1], familiarity=np.array([0.5, 0.9]))
    result = evaluate_refusal(outliers, names, test, ["a", "b"])
    assert result["refused"]["value"] == pytest.approx(2 / 3, abs=1e-5)
    assert result["refused_by_kind"]["photo"]["value"] == 1.0
    assert result["refused_by_kind"]["head-ct"]["value"] == 0.0
    assert result["accepted"]["value"] == 1.0
    assert result["auroc"]["value"] == pytest.approx(5 / 6, abs=1e-5)


def test_external_pictures_are_read_from_folder_and_zip(tmp_path, phantom_png) -> None:  # type: ignore[no-untyped-def]
    import zipfile

    folder = tmp_path / "set"
    for name in ("glioma/astro-t2-0001.png", "other_lesion/cyst-t1-0001.png", "__MACOSX/x.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(phantom_png)
    packed = tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder).as_posix())
    for source in (folder, packed):
        data = read_external(source)
        assert data.names == ["glioma/astro-t2-0001.png", "other_lesion/cyst-t1-0001.png"]
        assert data.labels == ["glioma", "other_lesion"] and data.weightings == ["t2", "t1"]
    (folder / "glioma" / "scan.png").write_bytes(phantom_png)
    with pytest.raises(DatasetError, match="scan"):
        read_external(folder)
    with pytest.raises(DatasetError, match=r"absent\.zip"):
        list(read_pictures(tmp_path / "absent.zip"))


def test_the_audit_finds_a_class_that_the_file_betrays_and_prepare_hides_it() -> None:
    """One class is saved in another size, otherwise the pictures are the same kind."""
    from brain_cnn.phantoms import draw_phantom

    labels = np.array([i % 2 for i in range(48)])
    images = [
        draw_phantom(LABELS[2], seed, side=200 if label else 224)
        for seed, label in enumerate(labels)
    ]
    parts = {"train": np.arange(24), "val": np.arange(24, 36), "test": np.arange(36, 48)}
    result = shortcut_audit(images, labels, parts, np.arange(48), 96)
    assert result["before"]["size"]["accuracy"]["value"] == 1.0
    assert result["after"]["size"]["accuracy"]["value"] == 0.5
    assert result["most_frequent_class"] == 0.5
    assert set(result["after"]) == {"size", "border", "histogram", "all together"}
