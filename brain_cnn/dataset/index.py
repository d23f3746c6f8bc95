"""A folder of class folders -> the list of its images, and their pixels."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from brain_cnn.dataset.unpack import UnpackLimits, is_hidden, open_zip, readable_members
from brain_cnn.errors import DatasetError, ScanError
from brain_cnn.labels import LABELS, label_from_folder
from brain_cnn.scan.read import read_scan
from brain_cnn.scan.sniff import RASTER_FORMATS, sniff

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})

MAX_UNREADABLE_SHARE = 0.05
"""A data set with a larger share of unreadable images is damaged, not merely dirty."""

_SPLIT_FOLDERS = {
    "training": "train",
    "train": "train",
    "testing": "test",
    "test": "test",
}
_LAYOUT_HINT = (
    "A data set holds Training/ and Testing/, or class folders alone, and its class folders "
    f"are called {', '.join(LABELS)} (or no_tumor, glioma_tumor and the like)."
)


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        path: POSIX, relative to the data root ("Training/glioma/Tr-gl_0010.jpg").
        label: one of `LABELS`.
        official_split: "train" or "test" by its folder; "" when there are class folders alone.
    """

    path: str
    label: str
    official_split: str


_HEAD = 4096  # bytes that tell the format of a file
# What lies beside images; whatever is in it, nobody meant it as one.
_NO_IMAGES = frozenset({".txt", ".db", ".csv", ".json", ".xml", ".ini", ".md", ".html"})
_IMAGES = RASTER_FORMATS | {"DICOM", "JPEG2000"}


def split_from_folder(name: str) -> str | None:
    """Return "train" or "test" for a folder called so (`Training`, `test`, ...), else None."""
    return _SPLIT_FOLDERS.get(name.lower())


def visible_folders(folder: Path) -> list[Path]:
    """Return the subfolders of `folder` by name, without hidden ones (`__MACOSX`, dot names)."""
    found = (entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    return sorted(found, key=lambda entry: entry.name)


def find_root(folder: Path) -> Path:
    """Return `folder`, or the one folder in it that holds the data set, two deep at most.

    Raises:
        DatasetError: none holds `Training`/`Testing` or class folders; what is there
            instead is named.
    """

    def holds_data(candidate: Path) -> bool:
        return any(
            split_from_folder(entry.name) or label_from_folder(entry.name)
            for entry in visible_folders(candidate)
        )

    if holds_data(folder):
        return folder
    inner = visible_folders(folder)
    roots = [entry for entry in inner if holds_data(entry)]
    if not roots:  # a ZIP in whose folder lies another folder of the same name
        roots = [deep for entry in inner for deep in visible_folders(entry) if holds_data(deep)]
    if len(roots) == 1:
        return roots[0]
    if len(roots) > 1:
        names = ", ".join(entry.name for entry in roots)
        raise DatasetError(
            "several-data-sets", f"There are several data sets here: {names}.", "Name one of them."
        )
    packed = next((e.name for e in sorted(folder.iterdir()) if e.suffix.lower() == ".zip"), None)
    if packed is not None and not inner:
        raise DatasetError(
            "zip-in-a-zip",
            f"Instead of class folders there is another ZIP, {packed!r}.",
            "Give that ZIP, or the folder that it unpacks to.",
        )
    names = ", ".join(repr(entry.name) for entry in inner[:8]) or "no folder at all"
    raise DatasetError("no-class-folders", f"No class folder was found, but {names}.", _LAYOUT_HINT)


def index_images(root: Path, *, skip_folders: Sequence[str] = ()) -> list[ImageRecord]:
    """List the images of a data set, sorted by path.

    Args:
        root: folder that holds `Training`/`Testing`, or class folders alone.
        skip_folders: class folders left out by name, for sets with further classes. Every
            other folder that names no class stops, so that nothing is lost in silence.

    Raises:
        DatasetError: an unknown folder (named), or no image at all.
    """
    records: list[ImageRecord] = []
    folders = visible_folders(root)
    if any(split_from_folder(entry.name) for entry in folders):
        for entry in folders:
            split = split_from_folder(entry.name)
            if split is None:
                raise _unknown_folder(entry, root)
            records.extend(_index_classes(visible_folders(entry), root, split, skip_folders))
    else:
        records.extend(_index_classes(folders, root, "", skip_folders))
    if not records:
        raise DatasetError("no-images", "The data set holds no image.", _LAYOUT_HINT)
    return sorted(records, key=lambda record: record.path)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Return the slice in an image file, uint8 (H, W), read exactly as an upload is.

    Raises:
        ScanError: not an image, or a damaged one.
        OSError: the file cannot be opened.
    """
    return read_scan(path.read_bytes()).slices[0].pixels


def load_images(
    root: Path, records: Sequence[ImageRecord], workers: int = 2
) -> tuple[list[NDArray[np.uint8]], list[tuple[str, str]]]:
    """Read every image into memory.

    Args:
        root: the data root that `records` are relative to.
        records: N images.
        workers: threads that decode.

    Returns:
        images: uint8 (H, W) of each readable record, in order; unreadable ones are left out.
        unreadable: (path, reason) of each record left out.

    Raises:
        DatasetError: more than `MAX_UNREADABLE_SHARE` of them are unreadable.
    """

    def read(record: ImageRecord) -> NDArray[np.uint8] | str:
        try:
            return read_pixels(root / record.path)
        except ScanError as error:
            return error.message
        except OSError as error:
            return f"The file cannot be opened ({error.strerror or type(error).__name__})."

    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = list(pool.map(read, records))
    images = [result for result in results if not isinstance(result, str)]
    unreadable = [
        (record.path, result)
        for record, result in zip(records, results, strict=True)
        if isinstance(result, str)
    ]
    if len(unreadable) > MAX_UNREADABLE_SHARE * len(records):
        first, reason = unreadable[0]
        raise DatasetError(
            "too-many-unreadable",
            f"{len(unreadable)} of {len(records)} images cannot be read, more than "
            f"{MAX_UNREADABLE_SHARE:.0%}; the first is {first}: {reason}",
            "Download or unpack the data set again.",
        )
    return images, unreadable


def load_masks(masks_source: str, records: Sequence[ImageRecord]) -> dict[str, NDArray[np.uint8]]:
    """Read the tumour masks that belong to `records`.

    A mask belongs to the image of the same split folder, class folder and file stem, so a
    PNG mask finds its JPEG image, whatever alias either folder bears.

    Args:
        masks_source: folder or ZIP laid out as the data set is.
        records: the images that masks are wanted for.

    Returns:
        path of the image -> uint8 (H, W), 255 = tumour, 0 = not; images without a mask are
        absent.

    Raises:
        DatasetError: the source does not exist, is unsafe, or holds no mask of any record.
        ScanError: a mask is damaged.
    """
    wanted = {_key(record.path): record.path for record in records}
    masks: dict[str, NDArray[np.uint8]] = {}
    for name, data in _mask_files(Path(masks_source).expanduser()):
        path = wanted.get(_key(name))
        if path is not None:
            pixels = read_scan(data).slices[0].pixels
            masks[path] = np.where(pixels > 127, 255, 0).astype(np.uint8)
    if not masks:
        raise DatasetError(
            "no-masks",
            f"{masks_source} holds no mask of any image of the data set.",
            "A mask has the path of its image, as a PNG: Training/glioma/Tr-gl_0010.png.",
        )
    return masks


def _mask_files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            name = file.relative_to(source).as_posix()
            if file.is_file() and _is_image(name):
                yield name, file.read_bytes()
    elif zipfile.is_zipfile(source):
        with open_zip(source) as archive:
            for member in readable_members(archive, UnpackLimits()):
                if _is_image(member.filename):
                    with archive.open(member) as stream:
                        yield member.filename, stream.read()
    else:
        raise DatasetError(
            "no-masks", f"{source} is neither a folder nor a ZIP.", "Check the path of the masks."
        )


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(is_hidden(p) for p in path.parts)


def _holds_image(file: Path) -> bool:
    """Whether a file with another suffix (.jfif, .dcm, none) holds an image by its content."""
    if is_hidden(file.name) or file.suffix.lower() in _NO_IMAGES:
        return False
    try:
        with file.open("rb") as opened:
            return sniff(opened.read(_HEAD)) in _IMAGES
    except OSError:
        return False


def _key(name: str) -> tuple[str, str, str]:
    """Name a file by split, class and stem, independent of aliases and suffix."""
    path = PurePosixPath(name)
    parents = [*path.parts[:-1], "", ""]
    split = next((s for s in map(split_from_folder, parents) if s), "")
    label = next((s for s in map(label_from_folder, parents) if s), "")
    return split, label, path.stem


def _index_classes(
    folders: list[Path], root: Path, split: str, skip: Sequence[str]
) -> Iterator[ImageRecord]:
    for folder in folders:
        if folder.name in skip:
            continue
        label = label_from_folder(folder.name)
        if label is None:
            raise _unknown_folder(folder, root)
        for inner in visible_folders(folder):
            raise _unknown_folder(inner, root)
        for file in folder.iterdir():
            if file.is_file() and (_is_image(file.name) or _holds_image(file)):
                yield ImageRecord(file.relative_to(root).as_posix(), label, split)


def _unknown_folder(folder: Path, root: Path) -> DatasetError:
    return DatasetError(
        "unknown-folder",
        f"The folder {folder.relative_to(root).as_posix()!r} names no class.",
        f"Rename it or move it away. {_LAYOUT_HINT}",
    )
