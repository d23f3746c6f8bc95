"""Every knob of a training, with its default and its reason."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from brain_cnn.dataset.augment import AugmentSettings
from brain_cnn.errors import SettingsError

ARCHITECTURES = ("ours", "baseline")
KEPT = ("best", "last")
_SHARES = (
    "small_share", "balance", "edit_share", "edit_ramp", "cavity_share", "start_share",
    "synthetic_share", "normal_share", "graft_share",
)  # fmt: skip
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class TrainSettings:
    """Every knob of a training; saved with the run."""

    arch: str = "ours"  # "ours", or "baseline": the plain two-convolution network
    seed: int = 0  # fixes weights, order and augmentation
    size: int = 160  # side of the network's input, pixels; a multiple of 16
    small_size: int = 112  # side in the first epochs: half the work for a first idea
    small_share: float = 0.55  # share of the epochs at `small_size`
    epochs: int = 90
    epoch_images: int = 2400  # images shown in one epoch, drawn anew each time
    batch: int = 32  # images per step
    learning_rate: float = 2e-3  # peak, after the warm-up
    warmup_epochs: float = 2.0  # rises linearly from 0
    weight_decay: float = 0.02  # AdamW's, on kernels alone
    clip_norm: float = 2.0  # largest global norm of a step's gradient
    label_smoothing: float = 0.05  # mass moved from the true label to all four
    dropout: float = 0.3  # of the feature map's channels
    balance: float = 0.6  # 0: every image equally often; 1: every class equally often
    map_weight: float = 0.5  # weight of the mask guidance beside the cross-entropy
    ema_decay: float = 0.99  # of the averaged weights, per step
    edit_share: float = 0.0  # of the drawn images: tumour put in, taken out, or sham; 0 = off
    edit_tumours: bool = True  # False: only heads without a tumour are edited, none is erased
    edit_ramp: float = 0.3  # share of the epochs over which it rises from 0 to `edit_share`
    cavity_share: float = 0.0  # of the drawn images: a dark cavity beside the tumour
    synthetic_share: float = 0.0  # of an epoch: synthetic heads (`dataset.synthetic`)
    synthetic_count: int = 10000  # how many of them are made
    normal_share: float = 0.0  # of an epoch: slices of real normal heads
    graft_share: float = 0.5  # of those, the share into which real tumours are laid
    graft_count: int = 3000  # how many of them are made
    start_share: float = 0.0  # of the network started from, in the weights that are returned
    fresh_notumor: bool = False  # forget what the network started from knows of `notumor`
    keep: str = "best"  # which epoch's weights: of the smallest val loss, or the "last" one
    patience: int = 40  # epochs without a better val loss before it stops
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise SettingsError(
                "unknown-arch", f"Unknown network {self.arch!r}.", f"Choose of {ARCHITECTURES}."
            )
        if self.keep not in KEPT:
            raise SettingsError("bad-setting", f"keep is {self.keep!r}.", f"Choose of {KEPT}.")
        for name in ("size", "small_size"):
            value = getattr(self, name)
            self._check(name, value >= 32 and value % 16 == 0, "a multiple of 16, at least 32")
        for name in _SHARES:
            self._check(name, 0.0 <= getattr(self, name) <= 1.0, "a share in 0..1")
        for name in ("dropout", "label_smoothing", "ema_decay"):
            self._check(name, 0.0 <= getattr(self, name) < 1.0, "a number from 0 to below 1")
        made = self.synthetic_share + self.normal_share
        self._check("synthetic_share", made < 1.0, "with normal_share less than 1: real slices")
        for name in ("epochs", "epoch_images", "batch", "patience", "synthetic_count"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "clip_norm"):
            self._check(name, 0.0 < getattr(self, name) < math.inf, "a number above 0")
        for name in ("seed", "warmup_epochs", "weight_decay", "map_weight"):
            self._check(name, 0.0 <= getattr(self, name) < math.inf, "a number, at least 0")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise SettingsError(
                "bad-setting", f"{name} is {getattr(self, name)}.", f"Give {wanted}."
            )

    def size_of_epoch(self, epoch: int) -> int:
        """Return the side of the input in epoch 0, 1, ..., in pixels."""
        small = self.arch == "ours" and epoch < round(self.small_share * self.epochs)
        return self.small_size if small else self.size

    def edit_share_of_epoch(self, epoch: int) -> float:
        """Return the share of edited images in epoch 0, 1, ...: first what is real."""
        ramp = self.edit_ramp * self.epochs
        return self.edit_share * (min(1.0, epoch / ramp) if ramp > 0 else 1.0)


# What such projects do: mirror and turn a little, nothing else.
_PLAIN_AUGMENT = {
    "right_angles": 0.0, "curve": 0.0, "invert": 0.0, "bias_field": 0.0, "resolution": 0.0,
    "sharpen": 0.0, "jpeg": 0.0, "noise": 0.0,
}  # fmt: skip
_PLAIN: dict[str, Any] = {
    "arch": "baseline", "epochs": 12, "learning_rate": 1e-3, "weight_decay": 0.0,
    "label_smoothing": 0.0, "balance": 0.0, "small_share": 0.0, "warmup_epochs": 0.5,
}  # fmt: skip
BASELINE = TrainSettings(**_PLAIN, augment=AugmentSettings(**_PLAIN_AUGMENT))
"""The plain two-convolution network, trained as such projects train it."""


def settings_as_json(settings: TrainSettings) -> str:
    """Return the settings as JSON, for the run folder and the bundle."""
    return json.dumps(asdict(settings), indent=2) + "\n"


def settings_as_text(settings: TrainSettings) -> str:
    """Return the settings as lines for people, named as `--set` takes them."""
    values = asdict(settings)
    augment = values.pop("augment")
    values |= {f"augment.{name}": value for name, value in augment.items()}
    text = "Settings: " + ", ".join(f"{name}={value}" for name, value in values.items())
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False)


def with_changes(settings: TrainSettings, changes: Iterable[str]) -> TrainSettings:
    """Return the settings with `name=value` texts applied, e.g. "batch=64", "augment.flip=0".

    Raises:
        SettingsError: an unknown name, or a value of the wrong kind or out of range.
    """
    own: dict[str, Any] = {}
    augment: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name.startswith("augment."):
            augment[name[8:]] = _parse_value(settings.augment, name[8:], text, "augment.")
        else:
            own[name] = _parse_value(settings, name, text, "")
    return replace(settings, **own, augment=replace(settings.augment, **augment))


def _parse_value(settings: Any, name: str, text: str, prefix: str) -> Any:
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    kinds.pop("augment", None)  # its own settings are named one by one
    if name not in kinds:
        known = ", ".join(sorted(prefix + known for known in kinds))
        raise SettingsError(
            "unknown-setting", f"Unknown setting {prefix + name!r}.", f"Known: {known}."
        )
    try:
        # bool("no") would be true.
        return _WORDS[text.lower()] if kinds[name] is bool else kinds[name](text)
    except (ValueError, KeyError):
        raise SettingsError(
            "bad-setting",
            f"{prefix}{name} is {text!r}.",
            f"Give a value of type {kinds[name].__name__}.",
        ) from None
