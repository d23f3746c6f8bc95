"""The fit loop, epoch by epoch: `Trainer.train` is the whole of it.

Backend-neutral Keras 3. Everything random hangs on (seed, epoch) and all else is in the
checkpoint, so a run that is stopped and resumed ends as if it had not been stopped.
"""

from __future__ import annotations

import json
import time
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from brain_cnn.dataset.batches import (
    BatchPlan,
    PreparedData,
    RealSlices,
    Source,
    training_batches,
)
from brain_cnn.errors import SettingsError
from brain_cnn.training.checkpoint import Best, Checkpoint, Row, Weights
from brain_cnn.training.distribution import check_shares, devices_in_use
from brain_cnn.training.network import forget_notumor
from brain_cnn.training.optimisation import (
    AveragedWeights,
    all_variables,
    build,
    build_for_training,
    copy_weights,
    learning_rate,
    resized,
)
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import TrainSettings, settings_as_json, settings_as_text
from brain_cnn.training.validation import loss_and_accuracy, predict_prepared


def fit(
    data: PreparedData,
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    settings: TrainSettings,
    run: RunFolder,
    *,
    resume: bool = False,
    start: keras.Model | None = None,
) -> keras.Model:
    """Train on the slices at `train`, and return the network of the best epoch by val loss.

    Args:
        data: prepared slices of the whole data set.
        train: positions to learn from; val: positions that choose the epoch.
        settings: every knob.
        run: where everything is written.
        resume: go on from the run's checkpoint.
        start: see `Trainer`.

    Raises:
        SettingsError: see `Trainer`.
    """
    source = RealSlices(data, train, settings.balance)
    return Trainer(source, data, val, settings, run, start=start).train(resume=resume)


class Trainer:
    """One training.

    Every epoch replaces the run's checkpoint, then writes a row of `results.csv`, the curves,
    `last.keras` and, when it is the best so far, `best.keras` (averaged weights, to use).
    Ctrl-C returns the best so far; the epoch it cut short is done again by `resume`.

    Args:
        source: what the epochs are drawn from.
        data: prepared slices; val: the positions in it that choose the epoch.
        settings: every knob.
        run: where everything is written.
        start: a network of the same layers whose weights are the first ones; None: random.
            With `settings.start_share` they are also part of the result, which then is not
            the run's `best.keras`: their mean with what was learned from them (Wortsman et
            al. 2022) keeps more of both than either.

    Raises:
        SettingsError: `start` is another network, or missing where a setting needs one.
    """

    def __init__(
        self,
        source: Source,
        data: PreparedData,
        val: NDArray[np.int64],
        settings: TrainSettings,
        run: RunFolder,
        *,
        start: keras.Model | None = None,
    ) -> None:
        _check_start(settings, start)
        check_shares(settings.batch, settings.epoch_images, devices_in_use())
        keras.utils.set_random_seed(settings.seed)
        self.source, self.settings, self.run, self.start = source, settings, run, start
        self.val_images, self.val_labels = data.images[val], data.labels[val]
        self.size = settings.size_of_epoch(0)
        self.network, self.compiled = build_for_training(settings, self.size)
        if start is not None:
            copy_weights(start, self.network)
            if settings.fresh_notumor:
                forget_notumor(self.network)
        self.averaged = build(settings, self.size)  # carries the averaged weights
        self.average = AveragedWeights(self.network, settings.ema_decay)
        self.rows: list[Row] = []
        self.best: Best | None = None

    def train(self, *, resume: bool = False) -> keras.Model:
        """Train to the end, and return the network of the best epoch by val loss.

        Raises:
            SettingsError: `resume` finds a checkpoint that is not one of these settings.
        """
        if resume and (checkpoint := self.run.load()) is not None:
            self._restore(checkpoint)
        self.run.write_text("settings.json", settings_as_json(self.settings))
        print(settings_as_text(self.settings), flush=True)
        try:
            while self._goes_on():
                self._run_epoch(len(self.rows))
        except KeyboardInterrupt:
            print("\nStopped by hand. The same command with --resume goes on from the last epoch.")
            self.run.interrupted = True
        return self._finish()

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, and write again what follows from it."""
        _check_same(checkpoint.settings, _as_json(self.settings))
        variables = all_variables(self.network, self.compiled)
        for variable, value in zip(variables, checkpoint.variables, strict=True):
            variable.assign(value)
        self.average.values, self.average.steps = checkpoint.average, checkpoint.steps
        self.rows, self.best = checkpoint.rows, checkpoint.best
        self._resize(self.settings.size_of_epoch(checkpoint.epoch))
        self.averaged.set_weights(self.average.values)
        best = None if self.best is None else self._served(self.best.weights)
        self.run.write_derived(self.rows, self.averaged, best)
        print(f"Going on after epoch {len(self.rows)} of {self.settings.epochs}.", flush=True)

    def _goes_on(self) -> bool:
        epoch, patience = len(self.rows), self.settings.patience
        if epoch >= self.settings.epochs:
            return False
        if self.best is not None and epoch - self.best.epoch > patience:
            print(f"No better val loss for {patience} epochs: stopping.", flush=True)
            return False
        return True

    def _run_epoch(self, epoch: int) -> None:
        started = time.monotonic()
        self._resize(self.settings.size_of_epoch(epoch))
        loss, accuracy, rate = self._learn(epoch)
        val_loss, val_accuracy = self._validate()
        self.rows.append(
            {
                "epoch": epoch + 1,
                "loss": loss,
                "accuracy": accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "learning_rate": rate,
                "seconds": time.monotonic() - started,
            }
        )
        self._save(val_loss)
        print(_summary(self.rows[-1], self.settings), flush=True)

    def _resize(self, size: int) -> None:
        """Go on with the same weights in a network of another size: a graph of one fixed shape."""
        if size != self.size:
            self.size = size
            self.network, self.compiled = resized(self.network, self.compiled, self.settings, size)
            self.averaged = build(self.settings, size)

    def _learn(self, epoch: int) -> tuple[float, float, float]:
        """Step through one epoch; return its mean loss and accuracy, and the last rate."""
        settings = self.settings
        # A model with one output leaves its name out of the metric's.
        accuracy_name = "logits_accuracy" if settings.arch == "ours" else "accuracy"
        steps = -(-settings.epoch_images // settings.batch)
        shown, loss_sum, right_sum, rate = 0, 0.0, 0.0, 0.0
        batches = self.run.progress(self._batches(epoch), steps, epoch)
        for step, (tensors, labels, targets) in enumerate(batches):
            rate = learning_rate(settings, epoch + (step + 1) / steps)
            self.compiled.optimizer.learning_rate = rate
            truth = {"logits": labels}
            if settings.arch == "ours":
                truth["class_maps"] = targets
            logs = self.compiled.train_on_batch(tensors, truth, return_dict=True)
            self.average.update(self.network)
            # Keras starts its means anew at each train_on_batch: the epoch's are ours.
            shown += len(tensors)
            loss_sum += float(logs["loss"]) * len(tensors)
            right_sum += float(logs[accuracy_name]) * len(tensors)
        return loss_sum / shown, right_sum / shown, rate

    def _batches(self, epoch: int) -> Any:
        settings = self.settings
        rng = np.random.default_rng([settings.seed, epoch])
        plan = BatchPlan(
            self.size,
            settings.batch,
            (settings.seed, epoch),
            settings.augment,
            edit_share=settings.edit_share_of_epoch(epoch),
            edit_tumours=settings.edit_tumours,
            cavity_share=settings.cavity_share,
        )
        order = self.source.draw(settings.epoch_images, rng)
        return training_batches(self.source.data, order, plan)

    def _validate(self) -> tuple[float, float]:
        """Return loss and accuracy of the averaged weights on val."""
        self.averaged.set_weights(self.average.values)
        output = predict_prepared(self.averaged, self.val_images, self.size)
        return loss_and_accuracy(output.logits, self.val_labels)

    def _save(self, val_loss: float) -> None:
        """Replace the checkpoint; keep the weights where this epoch is the best so far."""
        # A network that has only seen small pictures is not yet the one that is served.
        smallest = np.inf if self.best is None else self.best.loss
        better = val_loss < smallest or self.settings.keep == "last"
        if better := better and self.size == self.settings.size:
            weights = [value.copy() for value in self.average.values]
            self.best = Best(len(self.rows) - 1, val_loss, weights)
        checkpoint = Checkpoint(
            settings=_as_json(self.settings),
            rows=self.rows,
            variables=[
                ops.convert_to_numpy(value) for value in all_variables(self.network, self.compiled)
            ],
            average=self.average.values,
            steps=self.average.steps,
            best=self.best,
        )
        self.run.end_epoch(checkpoint, self.averaged, self.averaged if better else None)

    def _finish(self) -> keras.Model:
        """Return the network of the best epoch, mixed with the first one where that is wanted."""
        weights = self.average.values if self.best is None else self.best.weights
        share = self.settings.start_share
        if self.start is not None and share > 0.0:
            pairs = zip(self.start.get_weights(), weights, strict=True)
            weights = [share * first + (1.0 - share) * last for first, last in pairs]
        return self._served(weights)

    def _served(self, weights: Weights) -> keras.Model:
        model = build(self.settings, self.settings.size)
        model.set_weights(weights)
        return model


def _check_start(settings: TrainSettings, start: keras.Model | None) -> None:
    if settings.fresh_notumor and (start is None or settings.start_share > 0):
        raise SettingsError(
            "bad-setting",
            "fresh_notumor needs a network to start from, and none of it in the result.",
            "Give --start-from and leave start_share at 0, or leave fresh_notumor out.",
        )
    if start is None and settings.start_share > 0.0:
        raise SettingsError(
            "no-start",
            f"start_share is {settings.start_share}, but there is no network to start from.",
            "Give --start-from, or leave start_share at 0.",
        )


def _check_same(saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with other settings: neither run would be the one that they name."""
    changed = [name for name in now if saved.get(name) != now[name]]
    if changed:
        differences = "; ".join(f"{n} {saved.get(n)} before, {now[n]} now" for n in changed)
        raise SettingsError(
            "other-settings",
            f"The run to resume has other settings: {differences}.",
            "Give those that it was started with, or start a new run in another --run-dir.",
        )


def _as_json(settings: TrainSettings) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads(settings_as_json(settings))
    return saved


def _summary(row: Row, settings: TrainSettings) -> str:
    left = (settings.epochs - row["epoch"]) * row["seconds"] / 60
    return (
        f"epoch {row['epoch']:3d}/{settings.epochs}  loss {row['loss']:.3f}  "
        f"accuracy {row['accuracy']:.3f}  val loss {row['val_loss']:.3f}  "
        f"val accuracy {row['val_accuracy']:.3f}  {row['seconds']:.0f} s, about {left:.0f} min left"
    )
