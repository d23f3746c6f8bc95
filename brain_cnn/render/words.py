"""The words of an answer, for a person: written once, and the same wherever it is read.

The page, the PDF, the JSON, the tables and the documentation take them from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from brain_cnn.errors import ScanError
from brain_cnn.inference.answer import SeriesAnswer
from brain_cnn.inference.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR, Prediction
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DESCRIPTIONS, DISPLAY_NAMES, LABELS
from brain_cnn.scan import ScanFacts
from brain_cnn.scan.modality import modality_words

SHORT_NAMES: dict[str, str] = {
    "glioma": "glioma",
    "meningioma": "meningioma",
    "notumor": "none of these tumours",
    "pituitary": "pituitary tumour",
}
"""What the labels are called inside a sentence."""


class VerdictWords(NamedTuple):
    """What a verdict is called above an answer, when it is given, and what is shown with it."""

    badge: str
    when: str
    shown: str


VERDICTS: dict[str, VerdictWords] = {
    CONFIDENT: VerdictWords(
        "Confident",
        "the prediction set holds one class, and the trust reaches the model's limit",
        "the class and its calibrated probability",
    ),
    UNCERTAIN: VerdictWords(
        "Uncertain",
        "the slice is like the training slices, but the set holds several classes, or the trust "
        "is below the limit",
        "the first guess, the set, all probabilities, and which of the two reasons applies",
    ),
    UNFAMILIAR: VerdictWords(
        "Refused",
        "a check finds that the picture is not like the training slices",
        "no class; the failed check with its value and its limit",
    ),
}
"""The three verdicts, in words."""

NO_CLASS = "The model names no class, because an answer would be a guess."
FORCED = "Judged on request: the header says that this is no MRI, and the model knows MRI only."
NO_EVIDENCE = "No slice shows evidence that rules out “none of these tumours”."


def prediction_of(study: StudyDiagnosis) -> Prediction:
    """Return the prediction that an answer shows: of the study, or of its only slice."""
    return study if len(study.slices) > 1 else study.slices[0]


def headline(prediction: Prediction) -> str:
    """Return the verdict in a few words; no class is named for an unfamiliar picture."""
    if prediction.verdict == UNFAMILIAR:
        return "Not like the brain MRI that this model knows"
    if prediction.verdict == CONFIDENT:
        return DISPLAY_NAMES[prediction.label]
    if len(prediction.prediction_set) == len(LABELS):
        return "Uncertain: it could be any of the four classes"
    names = [SHORT_NAMES[label] for label in prediction.prediction_set]
    if len(names) == 1:
        return f"Uncertain: perhaps {names[0]}"
    return f"Uncertain: {', '.join(names[:-1])} or {names[-1]}"


def badge(study: StudyDiagnosis) -> str:
    """Return the word above the headline, and that it is of a study where it is."""
    count = len(study.slices)
    about = f", for the study of {count} slices" if count > 1 else ""
    return VERDICTS[prediction_of(study).verdict].badge + about


def lead(prediction: Prediction) -> str:
    """Return the sentence below the headline."""
    if prediction.verdict == UNFAMILIAR:
        return NO_CLASS
    if prediction.verdict == CONFIDENT:
        return DESCRIPTIONS[prediction.label]
    if len(prediction.prediction_set) > 1:
        guess = SHORT_NAMES[prediction.label]
        return f"The model cannot tell these apart here. Its first guess is {guess}."
    return "One class is left, but the model is not sure enough of it."


def probability_words(prediction: Prediction) -> str:
    """Return what the largest number is, without the number."""
    return f"calibrated probability of {SHORT_NAMES[prediction.label]}"


def set_names(prediction: Prediction) -> str:
    """Return the prediction set, likeliest first."""
    return ", ".join(SHORT_NAMES[label] for label in prediction.prediction_set)


def coverage_words(prediction: Prediction) -> str:
    """Return what the target coverage of a prediction set means, in a sentence."""
    return (
        f"Target coverage {prediction.coverage * 100:g} %: on slices like its training data, "
        "whatever their class, so many of 100 sets are meant to hold the true one."
    )


def familiar_words(study: StudyDiagnosis) -> str:
    """Return how many slices of a study are familiar, in a sentence."""
    words = (
        f"{study.familiar_count} of {len(study.slices)} slices are like those that the model knows"
    )
    return f"{words}." if study.familiar else f"{words}: too few neighbours of each other."


def evidence_words(study: StudyDiagnosis) -> str:
    """Return which slices of a study show a tumour, in a sentence."""
    found = ranges(study.evidence_slices)
    return f"Slices that show evidence of a tumour: {found}." if found else NO_EVIDENCE


def note_words(study: StudyDiagnosis) -> tuple[str, ...]:
    """Return what a person should know of the reading; no class is named for a refused study."""
    refused = prediction_of(study).verdict == UNFAMILIAR
    # The study's own notes are about the classes.
    return study.most_telling.notes if refused else study.notes


def ranges(places: Sequence[int]) -> str:
    """Return slice numbers from 1 as people write them: "12–19, 23"."""
    parts = []
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        numbers = [place + 1 for _, place in run]
        first, last = numbers[0], numbers[-1]
        parts.append(str(first) if first == last else f"{first}–{last}")
    return ", ".join(parts)


def percent(share: float) -> str:
    """Return a share of 1 for a person: one decimal, and never a certainty."""
    if share > 0.999:
        return "> 99.9 %"
    if share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f} %"


def fact_words(facts: ScanFacts) -> list[tuple[str, str]]:
    """Return what the header says, as pairs of a name and a value."""
    words = []
    if facts.modality:
        words.append(
            ("Kind", modality_words(facts.modality).removeprefix("an ").removeprefix("a "))
        )
    if facts.weighting:
        words.append(("Weighting (a guess)", facts.weighting))
    if facts.plane:
        words.append(("Plane", facts.plane + (", oblique" if facts.oblique else "")))
    if facts.slice_thickness_mm:
        words.append(("Slice thickness", f"{facts.slice_thickness_mm:.3g} mm"))
    return words


def series_verdict(answer: SeriesAnswer) -> str:
    """Return the answer for a series of an upload on one line."""
    if isinstance(answer.study, ScanError):
        return answer.study.message
    prediction = prediction_of(answer.study)
    if prediction.verdict == UNFAMILIAR:
        return "refused: not like the brain MRI that this model knows"
    names = [SHORT_NAMES[label] for label in prediction.prediction_set]
    return f"{prediction.verdict}: {' or '.join(names)}"
