"""Promises of the training run: it learns, repeats, resumes, and survives Ctrl-C."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from brain_cnn.dataset.batches import PreparedData, prepare_all
from brain_cnn.errors import SettingsError
from brain_cnn.labels import LABELS
from brain_cnn.phantoms import draw_phantom_with_mask
from brain_cnn.training.checkpoint import Checkpoint
from brain_cnn.training.losses import guidance_loss
from brain_cnn.training.network import forget_notumor
from brain_cnn.training.optimisation import build, learning_rate, make_repeatable
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import BASELINE, TrainSettings, with_changes
from brain_cnn.training.trainer import fit
from brain_cnn.training.validation import predict_prepared

SETTINGS = TrainSettings(epochs=4, epoch_images=64, size=64, small_size=48, batch=16, patience=9)


@pytest.fixture(scope="module")
def data() -> PreparedData:
    pairs = [(label, draw_phantom_with_mask(label, seed)) for label in LABELS for seed in range(12)]
    return prepare_all(
        [image for _, (image, _) in pairs], [label for label, _ in pairs],
        [mask for _, (_, mask) in pairs], 64,
    )  # fmt: skip


def _parts(data: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    positions = np.arange(len(data.labels))
    return positions[positions % 3 > 0], positions[positions % 3 == 0]


def _run(data: PreparedData, folder: Path, **more: Any) -> tuple[list[dict[str, Any]], Any]:
    make_repeatable(0)
    model = fit(data, *_parts(data), SETTINGS, RunFolder(folder), **more)
    return RunFolder(folder).rows(), predict_prepared(model, data.images, 64).logits


@pytest.fixture(scope="module")
def whole(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    return folder, *_run(data, folder)


def _without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name != "seconds"} for row in rows]


def test_the_same_seed_trains_the_same_network(
    data: PreparedData, whole: Any, tmp_path: Path
) -> None:
    _, rows, logits = whole
    again_rows, again = _run(data, tmp_path / "again")
    assert _without_seconds(again_rows) == _without_seconds(rows)
    assert np.array_equal(again, logits)


def test_a_stopped_run_resumes_to_the_same_network(
    data: PreparedData, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the third epoch leaves checkpoints that open; --resume ends as if unstopped."""
    _, rows, logits = whole
    plain_progress = RunFolder.progress

    def interrupted(self: RunFolder, items: Any, total: int, epoch: int) -> Any:
        for number, item in enumerate(plain_progress(self, items, total, epoch)):
            if epoch == 3 and number == 1:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(RunFolder, "progress", interrupted)
    folder = tmp_path / "stopped"
    stopped_rows, _ = _run(data, folder)
    assert len(stopped_rows) == 3
    for name in ("last.keras", "best.keras"):
        outputs = keras.models.load_model(folder / name)(np.zeros((1, 64, 64, 1), np.float32))
        assert np.isfinite(np.asarray(outputs["logits"])).all()
    monkeypatch.undo()
    resumed_rows, resumed = _run(data, folder, resume=True)
    assert _without_seconds(resumed_rows) == _without_seconds(rows)
    assert np.array_equal(resumed, logits)


def test_the_run_folder_holds_what_a_person_looks_for(whole: Any) -> None:
    folder, rows, _ = whole
    for name in (
        "results.csv",
        "accuracy_loss.png",
        "accuracy_loss.svg",
        "best.keras",
        "last.keras",
    ):
        assert (folder / name).stat().st_size > 0
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert not list(folder.glob("*part*"))
    checkpoint = Checkpoint.load(folder)
    assert checkpoint is not None and checkpoint.epoch == 3
    saved = json.loads((folder / "settings.json").read_text())
    assert saved == json.loads(json.dumps(asdict(SETTINGS))) == checkpoint.settings


def test_the_averaged_weights_are_what_is_saved(data: PreparedData, whole: Any) -> None:
    """The val accuracy in results.csv is that of the network in last.keras."""
    folder, rows, _ = whole
    _, val = _parts(data)
    model = keras.models.load_model(folder / "last.keras")
    logits = predict_prepared(model, data.images[val], 64).logits
    accuracy = (logits.argmax(axis=1) == data.labels[val]).mean()
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(accuracy)


def test_the_baseline_trains_by_the_same_loop(data: PreparedData, tmp_path: Path) -> None:
    settings = replace(BASELINE, epochs=6, epoch_images=128, size=64)
    make_repeatable(0)
    fit(data, *_parts(data), settings, RunFolder(tmp_path))
    rows = RunFolder(tmp_path).rows()
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [learning_rate(SETTINGS, p) for p in (0.5, 1.0, 2.0, 3.0, 4.0)]
    assert rates[0] < rates[1] < rates[2] == SETTINGS.learning_rate
    assert rates[2] > rates[3] > rates[4] > 0


def _guidance(maps: np.ndarray, targets: np.ndarray) -> float:
    return float(np.asarray(guidance_loss(targets[None], maps[None].astype(np.float32)))[0])


def test_guidance_wants_the_true_map_on_the_tumour_and_ignores_the_unknown() -> None:
    targets = np.zeros((8, 8, 5), np.float32)
    targets[2:4, 2:4, 1] = 1.0
    targets[..., 4] = 1.0
    on = np.full((8, 8, 4), -3.0)
    on[2:4, 2:4, 1] = 3.0
    beside = np.full((8, 8, 4), -3.0)
    beside[5:7, 5:7, 1] = 3.0
    wrong_class = np.full((8, 8, 4), -3.0)
    wrong_class[2:4, 2:4, 0] = 3.0
    assert _guidance(on, targets) < _guidance(beside, targets)
    assert _guidance(on, targets) < _guidance(wrong_class, targets)
    assert _guidance(beside, np.zeros((8, 8, 5), np.float32)) == 0.0


def test_guidance_wants_notumor_on_all_that_is_healthy_and_nowhere_else() -> None:
    none = LABELS.index("notumor")
    targets = np.zeros((8, 8, 5), np.float32)
    targets[..., 4] = 1.0
    for tumour in (False, True):
        if tumour:
            targets[2:4, 2:4, 1] = 1.0
        sound = np.full((8, 8, 4), -3.0)
        sound[..., none] = 3.0
        sound[2:4, 2:4, 1] = 3.0 if tumour else -3.0
        sound[2:4, 2:4, none] *= -1.0 if tumour else 1.0
        turned = sound.copy()
        turned[..., none] *= -1.0
        assert _guidance(sound, targets) < 0.1
        assert _guidance(turned, targets) > 0.6
        # The scanner must not show: the same map everywhere is wrong in each head with a tumour.
        flat = sound.copy()
        flat[..., none] = 3.0
        assert (_guidance(flat, targets) > _guidance(sound, targets) + 0.5) == tumour


@pytest.mark.parametrize(
    "change",
    [
        {"size": 100}, {"small_size": 16}, {"epochs": 0}, {"batch": 0}, {"arch": "resnet"},
        {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"ema_decay": 1.0},
        {"dropout": 1.5}, {"balance": -0.5}, {"weight_decay": -0.1}, {"seed": -1},
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=str(next(iter(change.values())))):
        TrainSettings(**change)


@pytest.mark.parametrize("change", ["augment.flip=1.5", "augment.rotation_degrees=-3"])
def test_an_augmentation_out_of_range_is_named(change: str) -> None:
    name, _, value = change.partition("=")
    with pytest.raises(SettingsError, match=rf"{name} is {value}"):
        with_changes(TrainSettings(), [change])


def test_every_setting_is_printed_at_the_start_of_a_training(
    data: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = replace(BASELINE, epochs=1, epoch_images=16, size=64)
    fit(data, *_parts(data), few, RunFolder(tmp_path))
    printed = " ".join(capsys.readouterr().out.split())
    saved = json.loads((tmp_path / "settings.json").read_text())
    augment = {f"augment.{name}": value for name, value in saved.pop("augment").items()}
    for name, value in (saved | augment).items():
        assert f"{name}={value}" in printed


def test_what_an_earlier_network_knew_of_notumor_can_be_forgotten() -> None:
    keras.utils.set_random_seed(2)
    model = build(SETTINGS, SETTINGS.size)
    tensors = np.random.default_rng(2).random((2, 64, 64, 1), dtype=np.float32)
    before = {name: np.asarray(value) for name, value in model(tensors).items()}
    forget_notumor(model)
    after = {name: np.asarray(value) for name, value in model(tensors).items()}
    none = LABELS.index("notumor")
    assert not after["class_maps"][..., none].any()
    assert np.allclose(after["logits"][:, none], after["logits"][0, none])
    tumours = [index for index in range(4) if index != none]
    assert np.array_equal(after["logits"][:, tumours], before["logits"][:, tumours])


def test_a_training_begins_with_the_weights_of_the_network_that_it_is_given(
    data: PreparedData, tmp_path: Path
) -> None:
    everything = np.arange(len(data.labels))
    start = build(SETTINGS, SETTINGS.size)
    # No step is taken that counts: what comes out is what went in.
    still = replace(SETTINGS, epochs=1, learning_rate=1e-12, small_share=0.0, weight_decay=0.0)
    trained = fit(data, everything, everything, still, RunFolder(tmp_path / "a"), start=start)
    kernels = [[w.numpy() for w in m.trainable_weights] for m in (start, trained)]
    for before, after in zip(*kernels, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_network_of_other_layers_is_refused_as_a_start(
    data: PreparedData, tmp_path: Path
) -> None:
    everything = np.arange(len(data.labels))
    with pytest.raises(SettingsError, match="do not fit"):
        fit(data, everything, everything, SETTINGS, RunFolder(tmp_path), start=build(BASELINE, 64))


def test_the_network_started_from_keeps_its_share_of_the_result(
    data: PreparedData, tmp_path: Path
) -> None:
    everything = np.arange(len(data.labels))
    start = build(SETTINGS, SETTINGS.size)
    few = replace(SETTINGS, epochs=1, small_share=0.0, keep="last", start_share=0.25)
    run = RunFolder(tmp_path / "run")
    mixed = fit(data, everything, everything, few, run, start=start)
    checkpoint = run.load()
    assert checkpoint is not None and checkpoint.best is not None
    learned = checkpoint.best.weights
    moved = 0.0
    for first, last, weight in zip(start.get_weights(), learned, mixed.get_weights(), strict=True):
        np.testing.assert_allclose(weight, 0.25 * first + 0.75 * last, atol=1e-6)
        moved += float(np.abs(first - last).max())
    assert moved > 0.01, "it has learned something to mix with"
    with pytest.raises(SettingsError, match=r"start_share is 0\.25"):
        fit(data, everything, everything, few, RunFolder(tmp_path / "other"))


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_forgetting_without_something_to_forget_or_mixed_back_in_is_refused(
    data: PreparedData, tmp_path: Path, share: float
) -> None:
    few = replace(SETTINGS, fresh_notumor=True, start_share=share)
    start = build(SETTINGS, SETTINGS.size) if share else None
    everything = np.arange(len(data.labels))
    with pytest.raises(SettingsError, match="fresh_notumor"):
        fit(data, everything, everything, few, RunFolder(tmp_path / "run"), start=start)
