"""One upload in, one `Answer` out: the way that every view takes.

The server keeps nothing, so whoever wants more of an answer uploads again; all views ask the
same `Answer`, so that they speak of the same series and slice.
"""

from __future__ import annotations

from brain_cnn.inference.answer import Answer, main_scan
from brain_cnn.inference.classifier import Progress
from brain_cnn.scan import Scan, read_files
from brain_cnn.web.uploads import Upload, classifier


def answer_upload(upload: Upload, progress: Progress | None = None) -> Answer:
    """Judge all that was uploaded.

    Args:
        upload: of `uploads.read_upload`.
        progress: called after each batch of slices.

    Raises:
        Busy: 503, the server has no slot for it.
    """
    return classifier().classify_together(
        upload.files, force=upload.force, plane=upload.plane, progress=progress
    )


def scan_of_upload(upload: Upload, wanted: int | None = None) -> Scan:
    """Read an upload without judging it, and return the scan that its answer is about.

    Args:
        upload: of `uploads.read_upload`.
        wanted: a series, from 0; None: the main one.

    Raises:
        ScanError: as `Answer.main`.
    """
    series, problems = read_files(upload.files, limits=classifier().limits, plane=upload.plane)
    return main_scan(series, problems, wanted, force=upload.force)
