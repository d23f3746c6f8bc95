"""Bytes of any supported file -> `Scan`. One small file per family of formats."""

from brain_cnn.scan.read import left_out_note, main_series, read_files, read_scan
from brain_cnn.scan.stacks import Series
from brain_cnn.scan.types import PLANES, Scan, ScanFacts, ScanLimits, Slice

__all__ = [
    "PLANES",
    "Scan",
    "ScanFacts",
    "ScanLimits",
    "Series",
    "Slice",
    "left_out_note",
    "main_series",
    "read_files",
    "read_scan",
]
