"""One answer to one upload: files in, `Answer` out, whoever writes it down.

The page, the viewer, the JSON, the CSV, the PDF and the command line all ask an `Answer` what
it is about, so that none can prefer another series or drop what another shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from brain_cnn.errors import ScanError
from brain_cnn.inference.diagnosis import Diagnosis
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import NOTUMOR
from brain_cnn.scan import Scan, Series
from brain_cnn.scan.modality import check_modality, main_order


@dataclass(frozen=True, eq=False)
class SeriesAnswer:
    """The answer for one series of an upload.

    Attributes:
        series: what was read, and which file each slice came from.
        study: the answer, or why there is none.
    """

    series: Series
    study: StudyDiagnosis | ScanError


class MainAnswer(NamedTuple):
    """The series that an answer is about, and what the model says of it."""

    answer: SeriesAnswer
    study: StudyDiagnosis


class AnswerPart(NamedTuple):
    """What an answer says of one file of an upload, or of one series.

    Attributes:
        main: the series that it is about.
        study: the answer for it; of a file it may hold slices of other files.
        slices: the slices of the study that came from the file, at least one.
        telling: the most telling of these.
        others: the other series of the file, or of the upload.
    """

    main: SeriesAnswer
    study: StudyDiagnosis
    slices: list[Diagnosis]
    telling: Diagnosis
    others: list[SeriesAnswer]


class Answer(NamedTuple):
    """The answer to one upload.

    Attributes:
        series: one answer for each series that was read, in the order of the upload.
        problems: for each file of which nothing was read, by its place from 0, why.
    """

    series: list[SeriesAnswer]
    problems: dict[int, ScanError]

    def main(self, wanted: int | None = None) -> MainAnswer:
        """Return the series that the upload is about.

        Args:
            wanted: a series, from 0; None: of those with an answer the main one, as
                `scan.modality.main_order` says.

        Raises:
            ScanError: no series has an answer (the first file's reason), or `wanted` has
                none or does not exist (422).
        """
        series = self.series
        if wanted is not None and series:
            check_series_index(wanted, len(series))
            series = [series[wanted]]
        main = _main(series)
        if main is None:
            raise self._first_error(series)
        return main

    def of_series(self, main: MainAnswer) -> AnswerPart:
        """Return the answer for a whole series, one that `main` returned."""
        answer, study = main
        others = [one for one in self.series if one is not answer]
        return AnswerPart(answer, study, list(study.slices), study.most_telling, others)

    def of_file(self, place: int) -> AnswerPart | ScanError:
        """Return the answer for the file at `place` of the upload, or why there is none."""
        if place in self.problems:
            return self.problems[place]
        own = [one for one in self.series if place in one.series.files]
        main = _main(own)
        if main is None:
            return self._first_error(own)
        answer, study = main
        slices = [study.slices[index] for index in answer.series.slices_of(place)]
        if len(slices) == len(study.slices):
            telling = study.most_telling
        else:
            telling = min(slices, key=lambda d: (not d.familiar, d.probabilities[NOTUMOR]))
        others = [one for one in own if one is not answer]
        return AnswerPart(answer, study, slices, telling, others)

    def _first_error(self, series: Sequence[SeriesAnswer]) -> ScanError:
        """Return the error of the first file, of `series` and of the files that were not read."""
        errors = [
            (min(one.series.files), one.study) for one in series if isinstance(one.study, ScanError)
        ]
        if len(series) == len(self.series):
            errors += self.problems.items()
        return min(errors, key=lambda pair: pair[0])[1]


def _main(series: Sequence[SeriesAnswer]) -> MainAnswer | None:
    """Return the main one of those that have an answer; None where none has."""
    judged = [MainAnswer(one, one.study) for one in series if isinstance(one.study, StudyDiagnosis)]
    return max(judged, key=lambda one: main_order(one.answer.series.scan), default=None)


def main_scan(
    series: Sequence[Series],
    problems: dict[int, ScanError],
    wanted: int | None = None,
    *,
    force: bool = False,
) -> Scan:
    """Return the scan that an upload is about, of files that were read and not yet judged.

    Args:
        series, problems: of `scan.read_files`.
        wanted: a series, from 0; None: the main one, as in `Answer.main`.
        force: also one that its header calls something else than an MRI.

    Raises:
        ScanError: as `Answer.main`.
    """
    if wanted is not None and series:
        check_series_index(wanted, len(series))
        series = [series[wanted]]
    if not series:
        raise problems[min(problems)]
    # What is refused comes last in the order: where it is the main one, all are refused.
    main = max(series, key=lambda one: main_order(one.scan)).scan
    check_modality(main, force)
    return main


def check_series_index(wanted: int, count: int) -> None:
    """Refuse a series that is not there.

    Raises:
        ScanError: 422, with how many series there are.
    """
    if wanted >= count:
        raise ScanError(
            "no-such-series",
            f"series is {wanted}; the upload has {count} series, counted from 0.",
            "Send the same files as for the answer, and a series of them.",
        )


def check_slice_index(place: int, count: int) -> None:
    """Refuse a slice that is not there.

    Raises:
        ScanError: 422, with how many slices there are.
    """
    if place >= count:
        raise ScanError(
            "no-such-slice",
            f"slice_index is {place}; the series has {count} "
            f"slice{'' if count == 1 else 's'}, counted from 0.",
            "Send the same files as for the answer, and a slice of it.",
        )
