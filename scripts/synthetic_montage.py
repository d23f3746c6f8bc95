"""Draw synthetic heads for people to look at: a row a class, tumours outlined.

    python scripts/synthetic_montage.py --labels ../shared/data/head-labels.zip --out /tmp/heads.png

The pictures are made from label maps of real heads: keep them out of the repository.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.dataset.synthetic.heads import Head, load_heads
from brain_cnn.dataset.synthetic.make import SyntheticSlice, make_slice
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.synthetic.tissues import WEIGHTINGS
from brain_cnn.labels import LABELS


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True, help="ZIP or folder of label maps")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture")
    parser.add_argument("--columns", type=int, default=9)
    parser.add_argument("--weighting", choices=WEIGHTINGS, help="this one alone")
    parser.add_argument("--plain", action="store_true", help="without outlines")
    args = parser.parse_args(arguments)
    heads = load_heads(args.labels)
    settings = SyntheticSettings()
    if args.weighting:
        settings = replace(settings, weightings={args.weighting: 1.0})
    started = time.monotonic()
    rows = [_row(heads, label, settings, args) for label in LABELS]
    count = args.columns * len(rows)
    print(f"{count / (time.monotonic() - started):.1f} pictures a second on one core.")
    cv2.imwrite(str(args.out), np.concatenate(rows))
    return 0


def _row(
    heads: list[Head], label: str, settings: SyntheticSettings, args: argparse.Namespace
) -> NDArray[np.uint8]:
    own = replace(settings, classes={name: float(name == label) for name in LABELS})
    seeds = range(args.seed, args.seed + args.columns)
    return np.concatenate(
        [_tile(make_slice(heads, seed, own), outlined=not args.plain) for seed in seeds], axis=1
    )


def _tile(one: SyntheticSlice, *, outlined: bool) -> NDArray[np.uint8]:
    tile: NDArray[np.uint8] = cv2.cvtColor(one.pixels, cv2.COLOR_GRAY2BGR)
    outlines, _ = cv2.findContours(one.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if outlined:
        cv2.drawContours(tile, outlines, -1, (0, 255, 255), 1)
    cv2.putText(tile, f"{one.weighting} {one.head}", (2, 12), 0, 0.4, (0, 255, 0), 1)
    return tile


if __name__ == "__main__":
    sys.exit(main())
