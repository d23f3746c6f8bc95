"""Bytes of a DICOM file -> its data set, with bounds on what the parser may take.

A few bytes in a file become a Python object of a kilobyte: an empty item, an empty element.
pydicom counts neither, so every read it does is counted here, and a deflated data set is
unpacked here, within the limit, before pydicom sees it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom import dcmread, uid
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.tag import Tag

from brain_cnn.errors import ScanError
from brain_cnn.scan.inflate import RAW, CutOff, inflate
from brain_cnn.scan.types import Deadline, ScanLimits

# Reads of one file; an element or an item takes one to three. An enhanced file of 512 frames
# has about 100,000.
MAX_READS = 300_000
_READS_PER_LOOK = 4096  # between two looks at the clock
# Items of sequences and fragments of pixels in one file. The same enhanced file has 6,000.
# An item costs more than ten elements do.
MAX_ITEMS = 40_000
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000), either byte order

# The sequences that this package looks into, whose values pydicom parses when it is asked.
_SEQUENCES = tuple(
    Tag(name)
    for name in (
        "ModalityLUTSequence",
        "VOILUTSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    )
)
_IMPLICIT_IN_UN = "UN"  # PS3.5 6.2.2 note 2: a sequence of unknown VR is encoded as implicit


def damaged_dicom() -> ScanError:
    """Return the refusal of a header that cannot be read."""
    return ScanError(
        "damaged-dicom",
        "The file begins as DICOM but its header cannot be read: it is truncated or damaged.",
        "Export or copy it again and check that another program opens it.",
    )


class _Reads:
    """How many reads are left for one file, and until when."""

    def __init__(self, deadline: Deadline) -> None:
        self.left = MAX_READS
        self._deadline = deadline

    def take(self) -> None:
        """Count one read.

        Raises:
            ScanError: 413 the file has too many elements; 422 the time is up.
        """
        self.left -= 1
        if self.left < 0:
            raise ScanError(
                "too-many-elements",
                f"The DICOM header takes more than {MAX_READS:,} reads, the limit: it has too "
                "many elements or items.",
                "Export it again from the program that it came from.",
                status=413,
            )
        if self.left % _READS_PER_LOOK == 0:
            self._deadline.check()


class _Counted(BytesIO):
    """Bytes in memory whose reads are counted."""

    def __init__(self, data: bytes, reads: _Reads) -> None:
        super().__init__(data)
        self._reads = reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads.take()
        if size is None or size < 0:
            # pydicom reads to the end for one purpose: to unpack a deflated data set.
            raise _Deflated(self.tell())
        return super().read(size)


class _Deflated(Exception):
    """The data set from `start` on is deflated."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start


def parse(data: bytes, limits: ScanLimits, deadline: Deadline) -> tuple[Dataset, str]:
    """Return the data set and the UID of its transfer syntax.

    Raises:
        ScanError: 413 it unpacks to too much or has too many elements; 422 damaged.
    """
    reads = _Reads(deadline)
    _check_items(data)
    try:
        dataset: Dataset = dcmread(_Counted(data, reads), force=True)
    except _Deflated as found:
        dataset = _inflated(data, found.start, limits, reads)
    if not len(dataset):
        raise damaged_dicom()
    _open_sequences(dataset, _SEQUENCES, reads)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    if not syntax:
        # Without a file header the encoding was found by trying.
        implicit, little = dataset.original_encoding
        syntax = uid.ImplicitVRLittleEndian
        if not implicit:
            syntax = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    return dataset, syntax


def _check_items(data: bytes | bytearray) -> None:
    """Refuse a file with too many items before one is parsed."""
    items = max(data.count(tag) for tag in _ITEMS)
    if items > MAX_ITEMS:
        raise ScanError(
            "too-many-elements",
            f"The DICOM file has {items:,} items; the limit is {MAX_ITEMS:,}.",
            "Export it again from the program that it came from.",
            status=413,
        )


def _inflated(data: bytes, start: int, limits: ScanLimits, reads: _Reads) -> Dataset:
    """Unpack a deflated data set (PS3.5 A.5) within the limit, and parse it."""
    try:
        unpacked = inflate(data, start, RAW, limits)
    except CutOff:
        raise ScanError("damaged-dicom", "The deflated DICOM file is cut off.") from None
    except zlib.error as error:
        raise ScanError("damaged-dicom", "The deflated DICOM file is damaged.") from error
    _check_items(unpacked)
    dataset = read_dataset(
        _Counted(bytes(unpacked), reads), is_implicit_VR=False, is_little_endian=True
    )
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    return dataset


def _open_sequences(dataset: Dataset, tags: Sequence[Any], reads: _Reads) -> None:
    """Parse the sequences of `tags` now, and all that are in them, with counted reads."""
    for tag in tags:
        if tag not in dataset:
            continue
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
            implicit = raw.is_implicit_VR or raw.VR == _IMPLICIT_IN_UN
            content = _Counted(raw.value, reads)
            charset = dataset.original_character_set
            sequence: Any = read_sequence(
                content, implicit, raw.is_little_endian, len(raw.value), charset
            )
            dataset[tag] = DataElement(tag, "SQ", sequence)
        else:
            sequence = dataset[tag].value or []
        for item in sequence:
            inner = [tag for tag in list(item.keys()) if _is_sequence(item, tag)]
            _open_sequences(item, inner, reads)


def _is_sequence(dataset: Dataset, tag: Any) -> bool:
    element = dataset.get_item(tag)
    if element.VR not in (None, _IMPLICIT_IN_UN):
        return bool(element.VR == "SQ")
    result: bool = dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
    return result
