"""Fit everything but the weights of a bundle again, without a training.

    python scripts/calibrate.py --bundle models/brain_cnn --data brain-tumor-mri.zip \\
        --split protocol --protocol provenance.csv --masks masks-trainval.zip \\
        --labels head-labels.zip --normals normal-volumes.zip

Temperature, prediction sets, the familiarity gate and the trust are fitted on the split's
train and val parts; calibration files and their checksums in bundle.json are replaced. The
test part is not used. With --sets-only the prediction sets alone are fitted again, which also
brings a bundle up to date whose sets are of an older program. Then
`python scripts/measure.py --only sureness,refusal,external`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brain_cnn.dataset.batches import prepare_all
from brain_cnn.dataset.index import load_masks
from brain_cnn.dataset.labelled import SPLITS, load_labelled
from brain_cnn.errors import BrainCnnError
from brain_cnn.inference.bundle import load_bundle
from brain_cnn.inference.calibration import Calibration
from brain_cnn.training.fit_calibration import refit_calibration, refit_sets
from brain_cnn.training.mixing import other_sources
from brain_cnn.training.settings import TrainSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status (2 after a refused input).

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    args = _parse(argv)
    try:
        bundle = load_bundle(args.bundle, Calibration.identity())
        print(f"Reading {args.data} ...", flush=True)
        data = load_labelled(args.data, args.split, args.protocol, seed=args.seed)
        data = data.subset(np.concatenate([data.split.train, data.split.val]))
        if args.sets_only:
            print(f"Thresholds: {refit_sets(bundle.path, data).set_thresholds}.")
            print(f"Written to {bundle.path}. Next: python scripts/measure.py.")
            return 0
        masks = {} if args.masks is None else load_masks(args.masks, data.records)
        labels = [record.label for record in data.records]
        own = [masks.get(record.path) for record in data.records] if masks else None
        prepared = prepare_all(data.images, labels, own, bundle.input_size)
        print("Calibrating ...", flush=True)
        start = time.perf_counter()
        others = None
        if args.labels is not None and args.normals is not None:
            others = other_sources(
                prepared,
                data.split.val,
                TrainSettings(seed=args.seed),
                args.labels,
                args.normals,
                args.cache,
            )
        fitted = refit_calibration(bundle.path, data, prepared, seed=args.seed, others=others)
        seconds = time.perf_counter() - start
        print(f"Temperature {fitted.temperature:.3f}; fitted in {seconds:.0f} s.")
        print(f"Written to {bundle.path}. Next: python scripts/measure.py.")
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, help="model folder; default: the shipped one")
    add("--data", required=True, help="folder, ZIP, https or Drive link of the data set")
    add("--split", choices=SPLITS, default="protocol", help="the one it was trained with")
    add("--protocol", type=Path, help="CSV of the protocol split")
    add("--masks", help="folder or ZIP of tumour masks: makes the trust better founded")
    add("--labels", type=Path, help="ZIP or folder of head label maps: synthetic heads")
    add("--normals", type=Path, help="ZIP or folder of normal heads' volumes")
    add("--cache", type=Path, default=Path(".cache/pools"), help="keeps what is made of them")
    add("--seed", type=int, default=0, help="the same seed fits the same calibration")
    add("--sets-only", action="store_true", help="fit the prediction sets again, nothing else")
    return parser.parse_args(argv)
