"""Look at the content, pick the reader, put series together. Nothing here touches the disk.

`read_scan` reads one file; `read_files` reads what was uploaded together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from brain_cnn.errors import ScanError
from brain_cnn.scan.archive import members
from brain_cnn.scan.copies import Contents
from brain_cnn.scan.display import Reading
from brain_cnn.scan.grouping import by_stack
from brain_cnn.scan.modality import main_order
from brain_cnn.scan.raster import read_other, read_raster
from brain_cnn.scan.sniff import RASTER_FORMATS, sniff
from brain_cnn.scan.stacks import Series, assemble
from brain_cnn.scan.types import PLANES, Deadline, Scan, ScanLimits

_READS = "Upload a DICOM, NIfTI, PNG, JPEG, WebP, BMP, TIFF or GIF file, or a ZIP of them."

_UNPACK = "Unpack it and upload its files, or a ZIP of them."
# What we recognise and do not read, in words that say what to do instead.
_NOT_READ: dict[str, tuple[str, str]] = {
    "PDF": ("a PDF document", _READS),
    "HEIC": ("a HEIC or AVIF photo", _READS),
    "JPEG XL": ("a JPEG XL picture", "Save it as PNG or JPEG."),
    "NRRD": ("a NRRD volume", "Convert it to NIfTI (.nii.gz), for example with 3D Slicer."),
    "MHA": ("a MetaImage volume (MHA)", "Convert it to NIfTI (.nii.gz)."),
    "7z": ("a 7z archive", _UNPACK),
    "RAR": ("a RAR archive", _UNPACK),
    "TAR": ("a tar archive", _UNPACK),
    "tar.gz": ("a tar.gz archive", _UNPACK),
    "gzip": ("a gzip file with no NIfTI volume in it", _UNPACK),
}


def read_scan(
    data: bytes, name: str = "", *, limits: ScanLimits | None = None, plane: str = "axial"
) -> Scan:
    """Read the bytes of one uploaded file.

    Args:
        data: the whole file; its content decides what it is.
        name: what it was called; never used to decide, never logged.
        limits: bounds on bytes and pixels, `ScanLimits()` if None.
        plane: which slices are taken from a NIfTI volume: "axial", "coronal", "sagittal".

    Returns:
        A `Scan` with at least one slice. Of an archive with several series it is the one
        with the most slices (an MRI before others), and a note says so.

    Raises:
        ScanError: with `.status` 413 (too large), 415 (not an image that we read) or
            422 (empty, truncated, damaged or too small), a sentence, and what to do.
        ValueError: an unknown plane.
    """
    series, problems = read_files([data], limits=limits, plane=plane)
    if not series:
        raise problems[0]
    return main_series(series).scan


def read_files(
    files: Sequence[bytes], *, limits: ScanLimits | None = None, plane: str = "axial"
) -> tuple[list[Series], dict[int, ScanError]]:
    """Read files that belong together: those of one stack become one scan.

    What is in them twice is read once (`copies`); what a stack is says `grouping`.

    Args:
        files: the whole files, in the order of the upload.
        limits, plane: as in `read_scan`.

    Returns:
        The stacks, in the order in which they appear, and for each file of which nothing
        could be read its error. Every file is in exactly one of the two (`Series.files`):
        where a part of a file could be read, what is missing is a note of its series.

    Raises:
        ValueError: an unknown plane.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}; it must be one of {', '.join(PLANES)}")
    limits = limits or ScanLimits()
    readings: list[Reading] = []
    problems: dict[int, ScanError] = {}
    held = 0
    # One deadline for all files: many slow ones are no better than one.
    way = _Way(limits, limits.deadline(), plane, Contents())
    for place, data in enumerate(files):
        try:
            found = _read_once(data, way, depth=0, alone=len(files) == 1)
            # All files are held until their series are complete; one that is refused is not.
            pixels = sum(frame.values.size for reading in found for frame in reading.frames)
            _check_budget(held, pixels, limits)
        except ScanError as error:
            problems[place] = error
            way.contents.drop()
            continue
        held += pixels
        for reading in found:
            for frame in reading.frames:
                frame.source = place
            readings.append(reading)
        way.contents.accept(place)
    series = []
    lost: list[tuple[set[int], ScanError]] = []
    for together in by_stack(readings, way.deadline):
        try:
            series.append(assemble(together, limits))
        except ScanError as error:
            frames = [frame for reading in together for frame in reading.frames]
            lost.append(({f.source for f in frames}.union(*(f.also for f in frames)), error))
    for sources, reason in lost:
        series = [_with_loss(one, sources, reason) for one in series]
    read = {source for one in series for source in one.files}
    for sources, reason in lost:
        for source in sources - read:
            problems.setdefault(source, reason)
    return series, dict(sorted(problems.items()))


def _check_budget(held: int, pixels: int, limits: ScanLimits) -> None:
    """Refuse a file of `pixels` that does not fit beside the `held` pixels of the others.

    Raises:
        ScanError: 413.
    """
    limits.check_slices(1, pixels)
    if held + pixels > limits.max_study_pixels:
        raise ScanError(
            "scan-too-large",
            f"The upload has {held + pixels:,} pixels with this file; "
            f"the limit is {limits.max_study_pixels:,}.",
            "Upload fewer or smaller files at once.",
            status=413,
        )


def _with_loss(series: Series, sources: set[int], error: ScanError) -> Series:
    """Say on a series that another one of its files was lost."""
    if not sources & series.files:
        return series
    note = f"Another series of this upload could not be read: {error.message}"
    notes = (*series.scan.notes, note)
    return replace(series, scan=replace(series.scan, notes=notes))


def main_series(series: Sequence[Series]) -> Series:
    """Return the series that an answer is about, with a note where others are left out."""
    best = max(series, key=lambda one: main_order(one.scan))
    if len(series) == 1:
        return best
    return replace(
        best, scan=replace(best.scan, notes=(*best.scan.notes, left_out_note(len(series))))
    )


def left_out_note(count: int) -> str:
    """Return the note on the main one of `count` series, at least two."""
    left_out = count - 1
    return (
        f"{count} series were found; this is the one with the most slices, and "
        f"{left_out} {'was' if left_out == 1 else 'were'} left out."
    )


@dataclass(frozen=True)
class _Way:
    """How the files of one upload are read, and what was read of them."""

    limits: ScanLimits
    deadline: Deadline
    plane: str
    contents: Contents


def _read_once(data: bytes, way: _Way, depth: int, alone: bool = False) -> list[Reading]:
    """Read a file unless its content was read before; `alone` there is nothing to compare."""
    if alone:
        return _read_file(data, way, depth)
    key = way.contents.find(data)
    if key is None:
        return []
    found = _read_file(data, way, depth)
    way.contents.add(key, [frame for reading in found for frame in reading.frames])
    return found


def _read_file(data: bytes, way: _Way, depth: int) -> list[Reading]:
    """Read one file: one reading, or several from an archive."""
    limits, deadline = way.limits, way.deadline
    if not data:
        raise ScanError("empty-file", "The file is empty.", _READS)
    if len(data) > limits.max_bytes:
        raise ScanError(
            "file-too-large",
            f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}.",
            "Export it at a smaller size: 1024 x 1024 pixels are enough for a slice.",
            status=413,
        )
    kind = sniff(data)
    if kind in RASTER_FORMATS:
        return [read_raster(data, kind, limits, deadline)]
    if kind == "JPEG2000":
        return [read_other(data, kind, limits)]
    # Imported where they are needed: most uploads are pictures, and the start stays quick.
    if kind == "DICOM":
        from brain_cnn.scan.dicom import read_dicom

        return [read_dicom(data, limits, deadline)]
    if kind == "NIfTI":
        from brain_cnn.scan.nifti import read_nifti

        return [read_nifti(data, limits, way.plane)]
    if kind == "ZIP":
        return _read_archive(data, way, depth)
    if kind in _NOT_READ:
        what, advice = _NOT_READ[kind]
        raise ScanError("unsupported-format", f"This is {what}.", advice, status=415)
    raise ScanError("not-an-image", "This is not an image file.", _READS, status=415)


def _read_archive(data: bytes, way: _Way, depth: int) -> list[Reading]:
    limits = way.limits
    if depth >= limits.max_depth:
        raise ScanError(
            "nested-archive",
            f"There is a ZIP archive inside another; the limit is {limits.max_depth} deep.",
            "Unpack the outer one and upload its files.",
        )
    readings: list[Reading] = []
    errors: list[ScanError] = []
    pixels = 0
    for content in members(data, limits, way.deadline):
        try:
            found = _read_once(content, way, depth + 1)
        except ScanError as error:
            if error.code == "too-slow":
                raise
            errors.append(error)
            continue
        pixels += sum(frame.values.size for reading in found for frame in reading.frames)
        limits.check_slices(1, pixels)
        readings.extend(found)
    if not readings and not way.contents.met:
        # One refusal that is not "no image at all" says more than the many that are.
        telling = [error for error in errors if error.code != "not-an-image"] or errors
        if telling:
            raise telling[0]
        raise ScanError("empty-archive", "The ZIP archive holds no files.", _READS)
    return _pictures_as_series(_with_losses(readings, errors))


def _with_losses(readings: list[Reading], errors: list[ScanError]) -> list[Reading]:
    """Say on every reading how many members were left out; licences and such are expected."""
    lost = [error for error in errors if error.code != "not-an-image"]
    if not lost:
        return readings
    note = f"{len(lost)} files of the archive could not be read: {lost[0].message}"
    return [replace(reading, notes=(*reading.notes, note)) for reading in readings]


def _pictures_as_series(readings: list[Reading]) -> list[Reading]:
    """Take the pictures of one size in an archive as the slices of one series."""
    shapes = [
        r.frames[0].values.shape if r.format in RASTER_FORMATS and len(r.frames) == 1 else None
        for r in readings
    ]
    result = []
    for reading, shape in zip(readings, shapes, strict=True):
        count = shapes.count(shape)
        if shape is not None and count > 1:
            note = f"{count} pictures of one size were taken as the slices of one series, by name."
            reading = replace(
                reading, series=f"pictures {id(readings)} {shape}", notes=(*reading.notes, note)
            )
        result.append(reading)
    return result
