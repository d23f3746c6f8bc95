"""Many slices, one answer: the rule by which a study is judged.

A volume of 180 slices gives the network 180 chances to be wrong, so the largest probability
says nothing: it calls healthy heads tumours. A tumour lies in neighbouring slices; an odd
slice stands alone. The rule, in five steps:

1. Only familiar slices count.
2. The probabilities of each slice are replaced by the median over its neighbourhood, a
   twentieth of the slices (at least 3, always odd), where more than half of it is familiar.
   This is the curve that is drawn.
3. The study's probabilities are the curve where "none of these tumours" is lowest. Since the
   most suspicious of many places is looked at, its prediction set is the widest that was
   calibrated (99 %); its verdict follows from the set as for a single slice, and from the
   median trust of the slices there.
4. Where the header says that the series is no contrast-enhanced T1, "none of these tumours"
   stays in the set: the tumour classes were learned from contrast-enhanced T1 alone.
5. Where fewer than a tenth of the slices (at least 3) have a place on the curve, the study
   is unfamiliar, and no class is named.

One odd slice, or as many as fit in less than half a neighbourhood, cannot change the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from brain_cnn.inference.diagnosis import UNFAMILIAR, Diagnosis, Prediction, verdict_reason
from brain_cnn.labels import LABELS, NOTUMOR
from brain_cnn.scan import ScanFacts

if TYPE_CHECKING:
    from brain_cnn.inference.calibration import Calibration

RULE = (
    "The probabilities of each slice are smoothed by the median over {window} neighbouring "
    "familiar slices; the study is judged where the smoothed probability of a tumour is "
    "highest, with the widest prediction set ({coverage:.0%} coverage). One odd slice cannot "
    "change the answer."
)
UNLEARNED = (
    "The header says {weighting}. The tumour classes were learned from contrast-enhanced T1 "
    "alone, so “none of these tumours” stays possible whatever the slices show."
)
TOO_FEW = "Too few neighbouring slices are like those that the model knows."
_NEIGHBOURHOOD = 1 / 20
_FAMILIAR_SHARE = 1 / 10
_LEAST = 3
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
        probabilities: label -> smoothed probability at the strongest place; sums to 1.
        prediction_set: labels that come into question, likeliest first; never empty. The
            promise of `coverage` was calibrated on single slices.
        coverage: that promise; of several slices the widest that the model has.
        evidence: float64 (n, 4), the smoothed probabilities of each slice; NaN where too few
            neighbours are familiar.
        evidence_slices: slices whose smoothed probabilities leave "none of these tumours"
            out of the prediction set, from 0.
        strongest: slice with the strongest evidence for a tumour among those that are
            familiar, from 0.
        familiar_count: how many slices are familiar.
        window: how many neighbours are smoothed over.
        rule: the rule in a sentence.
        scan_format, facts, notes: what was read, as in `Scan`.
        positions_mm: place of each slice along the normal; None where it is not known.
        forced: True where a scan of another kind than MRI was judged on request.
        trust: 0..1, the median trust of the familiar slices around the strongest place that
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
    least = 1 if len(slices) < _LEAST else max(_LEAST, round(len(slices) * _FAMILIAR_SHARE))
    none = LABELS.index(NOTUMOR)
    if len(known):
        place = int(known[evidence[known, none].argmin()])
        chances = evidence[place]
    else:  # nothing to go by: the most familiar slice fills the fields, the verdict refuses
        place = int(np.argmax([d.familiarity for d in slices]))
        chances = probabilities[place]
    labels = calibration.prediction_set(chances, coverage)
    notes = slices[0].notes
    if weighting not in _LEARNED and NOTUMOR not in labels:
        labels = (*labels, NOTUMOR)
        notes += (UNLEARNED.format(weighting=weighting),)
    shown = [
        int(i) for i in known if NOTUMOR not in calibration.prediction_set(evidence[i], coverage)
    ]
    top = int(chances.argmax())
    trust = _trust(slices, familiar, LABELS[top], place, window)
    familiar_study = len(known) >= least
    strongest = _strongest(probabilities[:, none], familiar, place, window)
    return StudyDiagnosis(
        slices=tuple(slices),
        verdict=calibration.verdict(familiar_study, labels, trust),
        familiar=familiar_study,
        familiarity=slices[strongest].familiarity,
        reasons=slices[strongest].reasons,
        label=LABELS[top],
        confidence=float(chances[top]),
        probabilities={name: float(p) for name, p in zip(LABELS, chances, strict=True)},
        prediction_set=labels,
        coverage=coverage,
        evidence=evidence,
        evidence_slices=tuple(shown),
        strongest=strongest,
        familiar_count=int(familiar.sum()),
        window=window,
        rule=RULE.format(window=window, coverage=coverage),
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
        rule=RULE.format(window=1, coverage=coverage),
        scan_format=one.scan_format,
        notes=one.notes,
        trust=trust,
        trust_limit=calibration.trust_limit,
    )


def neighbourhood(count: int) -> int:
    """Return the odd number of slices that are smoothed over, of `count`."""
    if count < _LEAST:
        return 1
    return max(_LEAST, 2 * int(count * _NEIGHBOURHOOD / 2) + 1)


def smooth(
    probabilities: NDArray[np.floating], familiar: NDArray[np.bool_], window: int
) -> NDArray[np.float64]:
    """Return the median of each class over the familiar slices of each neighbourhood.

    Args:
        probabilities: float (n, 4). familiar: bool (n,). window: odd.

    Returns:
        float64 (n, 4) that sums to 1 along a row; NaN where not more than half of the
        neighbourhood is familiar. At the ends the neighbourhood is moved inwards.
    """
    count = len(probabilities)
    result = np.full(probabilities.shape, np.nan)
    for place in range(count):
        start = min(max(0, place - window // 2), max(0, count - window))
        near = slice(start, start + window)
        if 2 * familiar[near].sum() > window:
            median = np.median(probabilities[near][familiar[near]], axis=0)
            result[place] = median / max(median.sum(), 1e-12)
    return result


def _strongest(
    none: NDArray[np.floating], familiar: NDArray[np.bool_], place: int, window: int
) -> int:
    """Return the slice to show: around `place`, familiar, with the least of "none"."""
    near = [
        i
        for i in range(max(0, place - window // 2), min(len(none), place + window // 2 + 1))
        if familiar[i]
    ]
    return min(near, key=lambda i: (none[i], abs(i - place)), default=place)


def _trust(
    slices: Sequence[Diagnosis], familiar: NDArray[np.bool_], label: str, place: int, window: int
) -> float:
    """Return the median trust of the familiar slices around `place` that name `label`."""
    start = min(max(0, place - window // 2), max(0, len(slices) - window))
    near = range(start, min(len(slices), start + window))
    own = [slices[i].trust for i in near if familiar[i] and slices[i].label == label]
    return float(np.median(own)) if own else 0.0
