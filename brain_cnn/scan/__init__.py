"""Bytes of any supported file -> `Scan`. One small file per family of formats."""

from brain_cnn.scan.read import read_scan
from brain_cnn.scan.types import Scan, ScanLimits, Slice

__all__ = ["Scan", "ScanLimits", "Slice", "read_scan"]
