"""Pictures from elsewhere: other scanners and weightings, and what is no brain MRI at all.

A set of other scanners is a folder or ZIP with `glioma/`, `meningioma/`, `notumor/` and
perhaps `other_lesion/`, its files named `<subtype>-<weighting>-<number>`. There is no
contrast T1 of a head without lesion in it, so "t1 contrast" compares contrast tumours with
plain T1 normals. Such a set may help to choose a model; its numbers then say so.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.index import IMAGE_SUFFIXES
from brain_cnn.dataset.unpack import UnpackLimits, is_hidden, open_zip, readable_members
from brain_cnn.errors import DatasetError
from brain_cnn.evaluation.metrics import evaluate_predictions
from brain_cnn.evaluation.models import Predictions
from brain_cnn.evaluation.uncertainty import Groups, auroc, counted, groups_of, selective, verdicts
from brain_cnn.labels import LABELS, NOTUMOR, label_from_folder, label_index
from brain_cnn.scan import read_scan
from brain_cnn.scan.types import Slice

OTHER_LESION = "other_lesion"
DEVELOPMENT = "development, used for choosing"
"""What stands beside every number of a set that helped to choose the model."""

WEIGHTINGS = {"t1 contrast": ("t1cplus", "t1"), "t1": ("t1", "t1"), "t2": ("t2", "t2")}
"""Name -> weighting of the tumours, weighting of the normals that they are compared with."""


@dataclass(frozen=True)
class ExternalSet:
    """A set of other scanners, in memory.

    Attributes:
        slices: N slices as they were read.
        labels: N class names, or `OTHER_LESION`.
        weightings: N of "t1", "t1cplus", "t2" and what else the file names say.
        names: N paths within the set.
    """

    slices: list[Slice]
    labels: list[str]
    weightings: list[str]
    names: list[str]


def read_pictures(source: str | Path) -> Iterator[tuple[str, Slice]]:
    """Yield (path within the source, first slice) of every image of a folder or ZIP, by name.

    Raises:
        DatasetError: the source is neither, or holds no image.
        ScanError: an image cannot be read.
    """
    place = Path(source).expanduser()
    if place.is_dir():
        paths = {p.relative_to(place).as_posix(): p for p in place.rglob("*") if p.is_file()}
        names = sorted(name for name in paths if _is_image(name))
        _refuse_empty(names, place)
        for name in names:
            yield name, read_scan(paths[name].read_bytes()).slices[0]
    elif zipfile.is_zipfile(place):
        with open_zip(place) as archive:
            members = {m.filename: m for m in readable_members(archive, UnpackLimits())}
            names = sorted(name for name in members if _is_image(name))
            _refuse_empty(names, place)
            for name in names:
                yield name, read_scan(archive.read(members[name])).slices[0]
    else:
        raise DatasetError(
            "no-pictures", f"{place.name} is neither a folder nor a ZIP.", "Check the path."
        )


def read_external(source: str | Path) -> ExternalSet:
    """Read a set of other scanners.

    Raises:
        DatasetError: a folder or file name that does not follow the layout; see the module.
    """
    slices, labels, weightings, names = [], [], [], []
    for name, one in read_pictures(source):
        path = PurePosixPath(name)
        folder = path.parent.name
        label = OTHER_LESION if folder == OTHER_LESION else label_from_folder(folder)
        words = path.stem.split("-")
        if label is None or len(words) < 3:
            raise DatasetError(
                "unknown-layout",
                f"{name!r} is not <class>/<subtype>-<weighting>-<number>.",
                f"Classes are {', '.join(LABELS)} and {OTHER_LESION}.",
            )
        slices.append(one)
        labels.append(label)
        weightings.append(words[-2])
        names.append(name)
    return ExternalSet(slices, labels, weightings, names)


def evaluate_external(
    predictions: Predictions, data: ExternalSet, groups: Groups
) -> dict[str, Any]:
    """Return by weighting how the model does on other scanners.

    Args:
        predictions: of all slices of `data`.
        groups: units of the bootstrap, one a slice; None: single slices.

    Returns:
        `protocol` (what the numbers are of); `weightings`: name -> `n`, `groups`,
        `balanced_accuracy` (mean recall of glioma, meningioma, notumor),
        `tumour_called_notumor`, `tumour_confidently_notumor` (share of all tumours),
        `answered` (verdict confident), `accuracy_of_confident`, `recall` by class,
        `selective`; "all" holds every weighting. `other_lesion`: the same for lesions
        that are none of the classes.
    """
    kinds, weightings = np.array(data.labels), np.array(data.weightings)
    normal, other = kinds == NOTUMOR, kinds == OTHER_LESION
    parts = {
        name: (~normal & ~other & (weightings == tumours)) | (normal & (weightings == normals))
        for name, (tumours, normals) in WEIGHTINGS.items()
    }
    parts["all"] = ~other
    return {
        "protocol": f"other scanners, no patient known; {DEVELOPMENT}",
        "weightings": {
            name: _evaluate_part(
                predictions.part(members), kinds[members], groups_of(groups, members)
            )
            for name, members in parts.items()
            if members.any()
        },
        "other_lesion": _evaluate_other(predictions.part(other), groups_of(groups, other)),
    }


def _evaluate_part(predictions: Predictions, kinds: NDArray[Any], groups: Groups) -> dict[str, Any]:
    truth = np.array([label_index(kind) for kind in kinds], dtype=np.int64)
    tumour = truth != label_index(NOTUMOR)
    evaluated = evaluate_predictions(truth, predictions.probabilities, groups)
    missed = predictions.called() == label_index(NOTUMOR)
    own = groups_of(groups, tumour)
    spoken = verdicts(predictions, truth, groups)
    return {
        "n": evaluated["n"],
        "groups": evaluated["groups"],
        "balanced_accuracy": evaluated["macro_recall"],
        "recall": {
            label: evaluated["per_class"][label]["recall"] for label in LABELS if label in kinds
        },
        "tumour_called_notumor": counted(missed[tumour], own),
        "tumour_confidently_notumor": counted((missed & predictions.confident())[tumour], own),
        "answered": spoken["confident"],
        "unfamiliar": spoken["unfamiliar"],
        "accuracy_of_confident": spoken["accuracy_of_confident"],
        "selective": selective(predictions, truth, groups),
    }


def _evaluate_other(predictions: Predictions, groups: Groups) -> dict[str, Any]:
    sure, called = predictions.confident(), predictions.called()
    return {
        "confidently_a_tumour": counted(sure & (called != label_index(NOTUMOR)), groups),
        "confidently_notumor": counted(sure & (called == label_index(NOTUMOR)), groups),
        "unfamiliar": counted(~predictions.familiar, groups),
    }


def evaluate_refusal(
    outliers: Predictions, names: list[str], test: Predictions, test_groups: Groups
) -> dict[str, Any]:
    """Return how well the gate tells outliers from the test slices.

    Args:
        outliers: predictions for pictures that are no brain MRI.
        names: their names, `<kind>-<number>.<suffix>`.
        test: predictions for the protocol's test slices.

    Returns:
        `refused` (share of outliers), `refused_by_kind`, `accepted` (share of test),
        `auroc` of the familiarity score.
    """
    kinds = np.array([PurePosixPath(name).stem.rsplit("-", 1)[0] for name in names])
    return {
        "protocol": f"pictures that are no brain MRI, against protocol test; {DEVELOPMENT}",
        "refused": counted(~outliers.familiar, None),
        "refused_by_kind": {
            str(kind): counted(~outliers.familiar[kinds == kind], None) for kind in np.unique(kinds)
        },
        "accepted": counted(test.familiar, test_groups),
        "auroc": auroc(test.familiarity, outliers.familiarity, test_groups),
    }


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(is_hidden(p) for p in path.parts)


def _refuse_empty(names: list[str], place: Path) -> None:
    if not names:
        raise DatasetError("no-pictures", f"{place.name} holds no image.", "Check the path.")
