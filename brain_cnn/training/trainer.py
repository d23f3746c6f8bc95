"""The fit loop: what it minimises, how it steps, and what it leaves on disk.

Backend-neutral Keras 3. One epoch after another, from top to bottom of `fit`; everything
random hangs on (seed, epoch), so a run that is stopped and resumed ends as if it had not
been stopped.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from brain_cnn.dataset.augment import plain
from brain_cnn.dataset.batches import PreparedData, training_batches
from brain_cnn.errors import SettingsError
from brain_cnn.inference.calibration import softmax
from brain_cnn.training.distribution import check_shares, devices_in_use
from brain_cnn.training.losses import guidance_loss
from brain_cnn.training.mixing import Mixture, real_alone
from brain_cnn.training.network import build_baseline, build_cnn, forget_notumor
from brain_cnn.training.run_folder import RunFolder
from brain_cnn.training.settings import TrainSettings


def make_repeatable(seed: int) -> None:
    """Seed every random generator, and ask the backend for operations that repeat exactly."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def build(settings: TrainSettings, size: int) -> keras.Model:
    """Build the network that the settings name, for inputs of `size` pixels a side."""
    if settings.arch == "baseline":
        return build_baseline(size)
    return build_cnn(size, dropout=settings.dropout)


def build_for_training(settings: TrainSettings, size: int) -> tuple[keras.Model, keras.Model]:
    """Build the network, and a compiled view of it that shares its layers.

    Returns:
        The network, and the view whose outputs are those that have a loss.
    """
    network = build(settings, size)
    losses: dict[str, Any] = {
        "logits": keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        )
    }
    weights = {"logits": 1.0}
    if settings.arch == "ours":
        losses["class_maps"] = guidance_loss
        weights["class_maps"] = settings.map_weight
    optimizer = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(network.trainable_variables)
    trainer = keras.Model(network.inputs, {name: network.output[name] for name in losses})
    trainer.compile(
        optimizer,
        loss=losses,
        loss_weights=weights,
        metrics={"logits": [keras.metrics.CategoricalAccuracy(name="accuracy")]},
        jit_compile=False,
    )
    return network, trainer


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """Return the learning rate at `progress` epochs: linear warm-up, then half a cosine."""
    if progress < settings.warmup_epochs:
        return settings.learning_rate * progress / settings.warmup_epochs
    done = (progress - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-6)
    return settings.learning_rate * max(0.5 * (1 + np.cos(np.pi * min(done, 1.0))), 0.003)


class AveragedWeights:
    """The exponential moving average of all weights, batch statistics included.

    Keras' own averages leave the batch statistics behind; with them the averaged network
    is a network, and what is evaluated is what is saved.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = [ops.convert_to_numpy(w).copy() for w in model.weights]

    def update(self, model: keras.Model) -> None:
        self.steps += 1
        # Short runs must not keep the random start: the average begins as a plain mean.
        decay = min(self.decay, self.steps / (self.steps + 10.0))
        for value, weight in zip(self.values, model.weights, strict=True):
            value += (1.0 - decay) * (ops.convert_to_numpy(weight) - value)


def predict_outputs(
    model: keras.Model, images: NDArray[np.uint8], size: int, batch: int = 32
) -> dict[str, NDArray[np.float32]]:
    """Run the network over prepared slices uint8 (N, S, S); return its outputs, stacked."""
    pieces: list[dict[str, Any]] = []
    for start in range(0, len(images), batch):
        tensors = np.stack([plain(image, size) for image in images[start : start + batch]])
        count = len(tensors)
        # Several devices take equal shares: the last batch is filled up, and cut again.
        tensors = np.pad(tensors, ((0, -count % devices_in_use()), (0, 0), (0, 0)))
        outputs = model.predict_on_batch(tensors[..., None])
        pieces.append({n: ops.convert_to_numpy(value)[:count] for n, value in outputs.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def loss_and_accuracy(
    logits: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[float, float]:
    """Return the mean cross-entropy (nats) and the accuracy of logits (N, 4)."""
    probabilities = softmax(logits.astype(np.float64))
    loss = -np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean()
    return float(loss), float((logits.argmax(axis=1) == labels).mean())


def fit(
    data: PreparedData,
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    settings: TrainSettings,
    run: RunFolder,
    *,
    resume: bool = False,
    start: keras.Model | None = None,
    mixture: Mixture | None = None,
) -> keras.Model:
    """Train, and return the network of the best epoch by val loss.

    Every epoch writes a row of `results.csv`, redraws the curves and saves `last` (to go on
    from) and, when it is the best so far, `best` (averaged weights, to use). Ctrl-C returns
    the best so far; the epoch it cut short is done again by `resume`.

    Args:
        data: prepared slices of the whole data set.
        train: positions to learn from; val: positions that choose the epoch.
        run: where everything is written.
        resume: go on from the run's `last` checkpoint.
        start: a network of the same layers whose weights are the first ones; None: random.
            With `settings.start_share` they are also part of the result, which then is not
            the run's `best.keras`: their mean with what was learned from them (Wortsman et
            al. 2022) keeps more of both than either.
        mixture: what the epochs are drawn from; None: `train` alone.

    Raises:
        SettingsError: `start` is another network, or missing where a share of it is wanted.
    """
    if start is None and settings.start_share > 0.0:
        raise SettingsError(
            "no-start",
            f"start_share is {settings.start_share}, but there is no network to start from.",
            "Give --start-from, or leave start_share at 0.",
        )
    keras.utils.set_random_seed(settings.seed)
    check_shares(settings.batch, settings.epoch_images, devices_in_use())
    size = settings.size_of_epoch(0)
    mixture = mixture or real_alone(data, train, settings)
    model, trainer = build_for_training(settings, size)
    if settings.fresh_notumor and (start is None or settings.start_share > 0):
        raise SettingsError(
            "bad-setting",
            "fresh_notumor needs a network to start from, and none of it in the result.",
            "Give --start-from and leave start_share at 0, or leave fresh_notumor out.",
        )
    if start is not None:
        _copy_weights(start, model)
        if settings.fresh_notumor:
            forget_notumor(model)
    shadow = build(settings, size)  # carries the averaged weights
    average = AveragedWeights(model, settings.ema_decay)
    first, best_loss, best_epoch = 0, np.inf, -1
    if resume and (saved := run.load_state()) is not None:
        variables = [*model.variables, *trainer.optimizer.variables]
        average.values, average.steps = run.restore(variables), saved["steps"]
        first, best_epoch = saved["epoch"] + 1, saved["best_epoch"]
        if best_epoch >= 0:
            best_loss = saved["best_loss"]
        print(f"Going on after epoch {first} of {settings.epochs}.", flush=True)
    # A model with one output leaves its name out of the metric's.
    accuracy_name = "logits_accuracy" if settings.arch == "ours" else "accuracy"
    steps = -(-settings.epoch_images // settings.batch)
    try:
        for epoch in range(first, settings.epochs):
            if epoch - best_epoch > settings.patience and best_epoch >= 0:
                print(f"No better val loss for {settings.patience} epochs: stopping.", flush=True)
                break
            started = time.monotonic()
            if size != settings.size_of_epoch(epoch):
                # The same weights, in a network of the new size: a graph of one fixed shape.
                size = settings.size_of_epoch(epoch)
                model, trainer = _resized(model, trainer, settings, size)
                shadow = build(settings, size)
            rng = np.random.default_rng([settings.seed, epoch])
            batches = training_batches(
                mixture.data,
                mixture.draw(settings.epoch_images, rng),
                size,
                settings.batch,
                (settings.seed, epoch),
                settings.augment,
                settings.edit_share_of_epoch(epoch),
                settings.edit_tumours,
                settings.cavity_share,
            )
            shown, loss_sum, right_sum, rate = 0, 0.0, 0.0, 0.0
            for step, (tensors, labels, targets) in enumerate(run.progress(batches, steps, epoch)):
                rate = learning_rate(settings, epoch + (step + 1) / steps)
                trainer.optimizer.learning_rate = rate
                truth = {"logits": labels}
                if settings.arch == "ours":
                    truth["class_maps"] = targets
                logs = trainer.train_on_batch(tensors, truth, return_dict=True)
                average.update(model)
                # Keras starts its means anew at each train_on_batch: the epoch's are ours.
                shown += len(tensors)
                loss_sum += float(logs["loss"]) * len(tensors)
                right_sum += float(logs[accuracy_name]) * len(tensors)
            shadow.set_weights(average.values)
            outputs = predict_outputs(shadow, data.images[val], size)
            val_loss, val_accuracy = loss_and_accuracy(outputs["logits"], data.labels[val])
            row = {
                "epoch": epoch + 1,
                "loss": loss_sum / shown,
                "accuracy": right_sum / shown,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "learning_rate": rate,
                "seconds": time.monotonic() - started,
            }
            # A network that has only seen small pictures is not yet the one that is served.
            better = val_loss < best_loss or settings.keep == "last"
            if size == settings.size and better:
                best_loss, best_epoch = val_loss, epoch
                run.save_best(shadow, average.values)
            state: dict[str, Any] = {"epoch": epoch, "best_epoch": best_epoch}
            if best_epoch >= 0:
                state["best_loss"] = best_loss
            state["steps"] = average.steps
            variables = [*model.variables, *trainer.optimizer.variables]
            run.end_epoch(row, variables, shadow, average.values, state)
            print(_summary(row, settings), flush=True)
    except KeyboardInterrupt:
        print("\nStopped by hand. The same command with --resume goes on from the last epoch.")
        run.interrupted = True
    final = build(settings, settings.size)
    weights = run.load_best(average.values)
    if start is not None and settings.start_share > 0.0:
        share = settings.start_share
        pairs = zip(start.get_weights(), weights, strict=True)
        weights = [share * first + (1.0 - share) * last for first, last in pairs]
    final.set_weights(weights)
    return final


def _resized(
    model: keras.Model, trainer: keras.Model, settings: TrainSettings, size: int
) -> tuple[keras.Model, keras.Model]:
    """Return both for inputs of another size, with all weights and optimiser state."""
    new_model, new_trainer = build_for_training(settings, size)
    old = [*model.variables, *trainer.optimizer.variables]
    new = [*new_model.variables, *new_trainer.optimizer.variables]
    for target, source in zip(new, old, strict=True):
        target.assign(source)
    return new_model, new_trainer


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (source, target)]
    if shapes[0] != shapes[1]:
        raise SettingsError(
            "other-network",
            f"The network to start from has {len(shapes[0])} weights that do not fit ours.",
            "Give a .keras file that this script saved.",
        )
    target.set_weights(source.get_weights())


def _summary(row: dict[str, Any], settings: TrainSettings) -> str:
    left = (settings.epochs - row["epoch"]) * row["seconds"] / 60
    return (
        f"epoch {row['epoch']:3d}/{settings.epochs}  loss {row['loss']:.3f}  "
        f"accuracy {row['accuracy']:.3f}  val loss {row['val_loss']:.3f}  "
        f"val accuracy {row['val_accuracy']:.3f}  {row['seconds']:.0f} s, about {left:.0f} min left"
    )
