"""Which series and which slice of an upload a request is about.

The server keeps nothing, so whoever wants more of an answer uploads again; these rules must
pick the same slice as the answer did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import request
from werkzeug.exceptions import BadRequest

from brain_cnn.errors import ScanError
from brain_cnn.inference.classifier import SeriesAnswer, check_modality
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.scan import Scan, Slice, read_files
from brain_cnn.web.uploads import classifier


def main_scan(
    files: Sequence[bytes], wanted: int | None = None, *, force: bool, plane: str
) -> Scan:
    """Read an upload and return the scan that the answer is about: `wanted`, or the most slices.

    Raises:
        ScanError: nothing can be read, or nothing of it is an MRI (without `force`); there is
            no series `wanted`.
    """
    series, problems = read_files(files, limits=classifier().limits, plane=plane)
    if wanted is not None and series:
        _check_series(wanted, len(series))
        series = [series[wanted]]
    scans, refused = [], []
    for one in series:
        try:
            check_modality(one.scan, force)
        except ScanError as error:
            refused.append(error)
            continue
        scans.append(one.scan)
    if not scans:
        raise [*problems.values(), *refused][0]
    return max(scans, key=lambda scan: len(scan.slices))


def main_answer(
    answers: Sequence[SeriesAnswer],
    problems: Mapping[int, ScanError],
    wanted: int | None = None,
) -> tuple[SeriesAnswer, StudyDiagnosis]:
    """Return the answer `wanted` of what `classify_together` said, or that with the most slices.

    Raises:
        ScanError: there is no answer for any of the files, or not for the series `wanted`.
    """
    if wanted is not None and answers:
        _check_series(wanted, len(answers))
        answers, problems = [answers[wanted]], {}
    judged = [(a, a.study) for a in answers if isinstance(a.study, StudyDiagnosis)]
    if not judged:
        refused = [a.study for a in answers if isinstance(a.study, ScanError)]
        raise [*problems.values(), *refused][0]
    return max(judged, key=lambda pair: len(pair[1].slices))


def slice_index() -> int | None:
    """Return the form field `slice_index`, from 0; None where it was not sent.

    Raises:
        BadRequest: it is no whole number.
    """
    return _whole("slice_index")


def series_index() -> int | None:
    """Return the form field `series`, from 0 in the order of the upload; None if not sent.

    Raises:
        BadRequest: it is no whole number.
    """
    return _whole("series")


def _whole(name: str) -> int | None:
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise BadRequest(f"{name} is {text[:40]!r}; it must be a whole number from 0.")
    return int(text)


def _check_series(wanted: int, count: int) -> None:
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


def slice_of(scan: Scan, place: int) -> Slice:
    """Return one slice of a scan.

    Raises:
        ScanError: 422, there is no such slice.
    """
    check_slice_index(place, len(scan.slices))
    return scan.slices[place]
