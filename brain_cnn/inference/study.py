"""Many slices, one answer: the rule by which a study is judged.

A volume of 180 slices gives the network 180 chances to be wrong, so the largest probability
says nothing: it calls healthy heads tumours. A tumour lies in neighbouring slices; an odd
slice stands alone. The rule, in six steps:

1. Only familiar slices count.
2. The neighbourhood of a slice is a twentieth of the slices (at least 3, always odd), moved
   inwards at the ends, and widened by one slice on each side until three of its slices are
   familiar. It is a location where more than half of it is familiar.
3. The probabilities of each slice are replaced by the median over the familiar slices of its
   location. This is the curve that is drawn.
4. The study's probabilities are the curve where "none of these tumours" is lowest. Since the
   most suspicious of many locations is chosen, its prediction set is the widest that was
   calibrated (99 %); its verdict follows from the set as for a single slice, and from the
   median trust of the familiar slices there that name its label (of an even number, the lower
   one of the two in the middle).
5. Where the header says that the series is no contrast-enhanced T1, "none of these tumours"
   stays in the set: the tumour classes were learned from contrast-enhanced T1 alone.
6. Where fewer than a tenth of the slices (at least 3) are locations, the study is unfamiliar,
   and no class is named.

One odd slice, or as many as fit in less than half of the familiar slices of a neighbourhood,
cannot change the answer: three familiar slices are the fewest of which one is outvoted.

A study of two or three slices may have only two familiar ones. Neither outvotes the other, so
the prediction set then holds every class that one of them leaves possible: an odd slice can
make such an answer uncertain, and cannot turn it into another confident one. In a longer
study two familiar slices make no location, and it is unfamiliar. A single slice is judged as
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis, Prediction, verdict_reason
from brain_cnn.inference.neighbours import OUTVOTING, neighbourhood, neighbours, smooth
from brain_cnn.labels import LABELS, NOTUMOR
from brain_cnn.scan import ScanFacts

if TYPE_CHECKING:
    from brain_cnn.inference.calibration import Calibration

RULE = (
    "The probabilities of each slice are smoothed by the median over the familiar slices among "
    "{window} neighbours, or among more where fewer than three of these are familiar; the study "
    "is judged where the smoothed probability of a tumour is highest, with the widest "
    "prediction set ({coverage:.0%} coverage). One odd slice cannot change the answer."
)
RULE_FOR_FEW = (
    "Fewer than three slices are familiar, so one odd slice cannot be outvoted: the prediction "
    "set ({coverage:.0%} coverage) holds every class that one of the familiar slices leaves "
    "possible."
)
RULE_FOR_ONE = "There is one slice, and it is judged by itself ({coverage:.0%} coverage)."
UNLEARNED = (
    "The header says {weighting}. The tumour classes were learned from contrast-enhanced T1 "
    "alone, so “none of these tumours” stays possible whatever the slices show."
)
TOO_FEW = "Too few neighbouring slices are like those that the model knows."
_FAMILIAR_SHARE = 1 / 10
_LEAST = 3  # locations of a study
# Weightings of the slices that the tumour classes were learned from; "" is not known.
_LEARNED = ("", "T1 contrast-enhanced")


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyDiagnosis(Prediction):
    """The model's statement about a series or volume. Not a medical diagnosis.

    What it shares with a slice is in `Prediction`; here it is that of the whole study:

    Attributes:
        verdict: see the rule in this file.
        familiar: whether enough slices are like those that the model learned from.
        familiarity, reasons: of the most telling slice.
        slices: a `Diagnosis` for each slice, in order.
        probabilities: label -> smoothed probability at the strongest location; sums to 1.
        prediction_set: labels that come into question, likeliest first; never empty. The
            target `coverage` was calibrated on single slices.
        coverage: that target; of several slices the widest that the model has.
        evidence: float64 (n, 4), the smoothed probabilities of each slice; NaN where too few
            neighbours are familiar.
        evidence_slices: slices whose smoothed probabilities leave "none of these tumours"
            out of the prediction set, from 0.
        strongest: the slice to show, from 0: of the familiar slices of the strongest location
            the one with the strongest evidence for a tumour, among those that name `label`
            where there are any. So an odd slice does not stand for a study that outvoted it.
        familiar_count: how many slices are familiar.
        window: how many neighbours are smoothed over, where enough of them are familiar.
        rule: the rule in a sentence, as it was applied.
        scan_format, facts, notes: what was read, as in `Scan`.
        positions_mm: position of each slice along the normal; None where it is not known.
        forced: True where a scan of another kind than MRI was judged on request.
        trust: 0..1, the median trust of the familiar slices of the strongest location that
            name `label`; 0 where none does.
    """

    slices: tuple[Diagnosis, ...]
    evidence: NDArray[np.float64] = field(repr=False)
    evidence_slices: tuple[int, ...]
    strongest: int
    familiar_count: int
    window: int
    rule: str
    scan_format: str = ""
    facts: ScanFacts = field(default_factory=ScanFacts)
    notes: tuple[str, ...] = ()
    positions_mm: tuple[float | None, ...] = ()
    forced: bool = False

    @property
    def verdict_reason(self) -> str:
        """Why the verdict is what it is, in words for a person."""
        if self.verdict == UNFAMILIAR:
            return self.slices[0].verdict_reason if len(self.slices) == 1 else TOO_FEW
        return verdict_reason(self.verdict, self.prediction_set, self.trust, self.trust_limit)

    @property
    def most_telling(self) -> Diagnosis:
        """The slice with the strongest evidence."""
        return self.slices[self.strongest]


def judge_study(
    slices: Sequence[Diagnosis], calibration: Calibration, coverage: float, weighting: str = ""
) -> StudyDiagnosis:
    """Apply the rule to the diagnoses of all slices, in anatomical order.

    Args:
        slices: at least one.
        calibration, coverage: what made them; gives the prediction set of a single slice.
        weighting: of `ScanFacts`, "" where the header does not tell.
    """
    if len(slices) == 1:
        return _single(slices[0], calibration, coverage)
    coverage = max(coverage, *calibration.set_thresholds)
    probabilities = np.array([[d.probabilities[label] for label in LABELS] for d in slices])
    familiar = np.array([d.familiar for d in slices])
    window = neighbourhood(len(slices))
    evidence = smooth(probabilities, familiar, window)
    known = np.flatnonzero(np.isfinite(evidence[:, 0]))
    enough = len(known) >= min(len(slices), max(_LEAST, round(len(slices) * _FAMILIAR_SHARE)))
    place = _location(slices, evidence, known)
    chances = evidence[place] if len(known) else probabilities[place]

    def possible(place: int, chances: NDArray[np.floating]) -> tuple[str, ...]:
        near = probabilities[neighbours(familiar, place, window)]
        labels = calibration.prediction_set(chances, coverage)
        return labels if len(near) >= OUTVOTING else _all_of(labels, near, calibration, coverage)

    labels = possible(place, chances)
    notes = slices[0].notes
    if weighting not in _LEARNED and NOTUMOR not in labels:
        labels = (*labels, NOTUMOR)
        notes += (UNLEARNED.format(weighting=weighting),)
    shown = [i for i in map(int, known) if NOTUMOR not in possible(i, evidence[i])]
    top = LABELS[int(chances.argmax())]
    near = neighbours(familiar, place, window)
    trust = _trust([slices[i] for i in near], top)
    rule = RULE_FOR_FEW if familiar.sum() < OUTVOTING else RULE
    strongest = _strongest(slices, near, place, top)
    return StudyDiagnosis(
        slices=tuple(slices),
        verdict=calibration.verdict(enough, labels, trust),
        familiar=enough,
        familiarity=slices[strongest].familiarity,
        reasons=slices[strongest].reasons,
        label=top,
        confidence=float(chances.max()),
        probabilities={name: float(p) for name, p in zip(LABELS, chances, strict=True)},
        prediction_set=labels,
        coverage=coverage,
        evidence=evidence,
        evidence_slices=tuple(shown),
        strongest=strongest,
        familiar_count=int(familiar.sum()),
        window=window,
        rule=rule.format(window=window, coverage=coverage),
        scan_format=slices[0].scan_format,
        notes=notes,
        trust=trust,
        trust_limit=calibration.trust_limit,
    )


def _single(one: Diagnosis, calibration: Calibration, coverage: float) -> StudyDiagnosis:
    """Return what the rule comes to with one slice, at a third of the cost of applying it."""
    chances = np.array([[one.probabilities[label] for label in LABELS]])
    labels = calibration.prediction_set(chances[0], coverage)
    top = int(chances[0].argmax())
    trust = one.trust if one.familiar else 0.0
    return StudyDiagnosis(
        slices=(one,),
        verdict=calibration.verdict(one.familiar, labels, trust),
        familiar=one.familiar,
        familiarity=one.familiarity,
        reasons=one.reasons,
        label=LABELS[top],
        confidence=float(chances[0, top]),
        probabilities=dict(one.probabilities),
        prediction_set=labels,
        coverage=coverage,
        evidence=chances if one.familiar else np.full_like(chances, np.nan),
        evidence_slices=(0,) if one.familiar and NOTUMOR not in labels else (),
        strongest=0,
        familiar_count=int(one.familiar),
        window=1,
        rule=RULE_FOR_ONE.format(coverage=coverage),
        scan_format=one.scan_format,
        notes=one.notes,
        trust=trust,
        trust_limit=calibration.trust_limit,
    )


def _location(
    slices: Sequence[Diagnosis], evidence: NDArray[np.float64], known: NDArray[np.intp]
) -> int:
    """Return where the study is judged: of the locations `known` that with the least of "none"."""
    if len(known):
        return int(known[evidence[known, LABELS.index(NOTUMOR)].argmin()])
    # Nothing to go by: the most familiar slice fills the fields, and the verdict refuses.
    return int(np.argmax([one.familiarity for one in slices]))


def _all_of(
    labels: tuple[str, ...],
    near: NDArray[np.floating],
    calibration: Calibration,
    coverage: float,
) -> tuple[str, ...]:
    """Return `labels`, and after them what else one of the slices `near` leaves possible."""
    others = [label for row in near for label in calibration.prediction_set(row, coverage)]
    return tuple(dict.fromkeys((*labels, *others)))


def _strongest(slices: Sequence[Diagnosis], near: NDArray[np.intp], place: int, label: str) -> int:
    """Return the slice to show; see `StudyDiagnosis.strongest`. `place` where `near` is empty."""
    own = [i for i in near if slices[i].label == label]
    return int(
        min(
            own or near,
            key=lambda i: (slices[i].probabilities[NOTUMOR], abs(i - place)),
            default=place,
        )
    )


def _trust(near: Sequence[Diagnosis], label: str) -> float:
    """Return the median trust of the slices that name `label`; of two the lower, 0 of none."""
    own = [one.trust for one in near if one.label == label]
    return float(np.quantile(own, 0.5, method="lower")) if own else 0.0
