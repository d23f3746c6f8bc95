"""Every knob of the synthetic heads, with its default and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from brain_cnn.errors import SettingsError
from brain_cnn.labels import LABELS

SIDE = 224
"""Side of a synthetic slice in pixels, before `prepare`."""
FINE = 2
"""Fine pixels per pixel and axis while it is made: their mean is the partial volume."""


def _class_shares() -> dict[str, float]:
    return {"glioma": 0.32, "meningioma": 0.28, "notumor": 0.22, "pituitary": 0.18}


def _weighting_shares() -> dict[str, float]:
    # FLAIR is in none of the real tumours; contrast T1 is in nearly all of them.
    return {"t1": 0.22, "t1c": 0.29, "t2": 0.23, "flair": 0.16, "pd": 0.02, "random": 0.08}


@dataclass(frozen=True)
class SyntheticSettings:
    """How synthetic heads are drawn; part of the fingerprint of what is kept on disk."""

    classes: dict[str, float] = field(default_factory=_class_shares)
    weightings: dict[str, float] = field(default_factory=_weighting_shares)
    thin_sulci: float = 0.75  # share with sulci of a younger head than the label maps' own
    wide_ventricles: float = 0.3  # share with wider ventricles
    spots: float = 0.25  # share with small white matter lesions, whatever the class
    confounders: float = 0.06  # share of `notumor` with a cyst or an old infarct
    infiltrating: float = 0.5  # share of the gliomas that grow along the white matter
    artefacts: float = 0.12  # share with each of: ghosting, motion; zipper, wrap a third of it

    def __post_init__(self) -> None:
        if sorted(self.classes) != sorted(LABELS):
            raise SettingsError(
                "bad-setting", f"Classes are {sorted(self.classes)}.", f"Give {sorted(LABELS)}."
            )
        for name, shares in (("classes", self.classes), ("weightings", self.weightings)):
            if abs(sum(shares.values()) - 1.0) > 1e-6 or min(shares.values()) < 0:
                raise SettingsError(
                    "bad-setting", f"The shares of {name} are {shares}.", "They must sum to 1."
                )
