"""Train the network from a data set and write a model bundle.

    python scripts/train.py --data brain-tumor-mri.zip --out models/brain_cnn
    python scripts/train.py --data brain-tumor-mri.zip --split protocol \\
        --protocol provenance.csv --masks masks-trainval.zip --out models/brain_cnn
    python scripts/train.py ... --labels head-labels.zip --normals normal-volumes.zip \\
        --set synthetic_share=0.4 --set normal_share=0.18
    python scripts/train.py --smoke

--data takes a folder, a ZIP, an https:// link to a ZIP or a Google Drive share link. The run
folder keeps everything of the run; the same command with --resume goes on after a stop.
--smoke is a rehearsal of the whole run in about a minute: on a few images of --data, or
without it on images drawn by code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain_cnn.errors import BrainCnnError, SettingsError
from brain_cnn.training.checkpoint import run_exists
from brain_cnn.training.settings import BASELINE, TrainSettings, with_changes

if TYPE_CHECKING:
    from brain_cnn.dataset.batches import PreparedData
    from brain_cnn.dataset.labelled import LabelledData
    from brain_cnn.training.pipeline import MadePictures, Trained

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""
_SMOKE_IMAGES = 24  # of each class and part
_SMOKE_SETTINGS: dict[str, Any] = {"epochs": 4, "epoch_images": 96, "size": 96, "small_size": 64}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status (130 after Ctrl-C, 2 after a refused input).

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    args = _parse(argv)
    # Before TensorFlow is imported: its fast kernels are off by default on some processors,
    # and its log is full of graphics cards that are not there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return _run(args)
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    from brain_cnn.training import bundle_files, data_check, pipeline, results
    from brain_cnn.training.optimisation import make_repeatable

    plans = _plans(args)
    _check_run_folder(args)
    out = args.out or args.run_dir / "bundle"
    data_check.check_disk(args.run_dir, args.run_dir if args.out is None else out)
    make_repeatable(args.seed)
    if args.distribute:
        from brain_cnn.training.distribution import distribute_training

        print(f"Each batch is shared among {distribute_training()} devices.", flush=True)
    with tempfile.TemporaryDirectory() as drawn:
        data = _load(args, Path(drawn))
    report = pipeline.report_data(data, args.run_dir)
    if args.smoke:
        data = pipeline.thin_out(data, _SMOKE_IMAGES, seed=args.seed)
    print(data_check.check_training_data(data, exports=not args.report_only), flush=True)
    versions = json.dumps(bundle_files.package_versions(), indent=2)
    (args.run_dir / "versions.json").write_text(versions)
    print(f"Run folder {args.run_dir}; bundle to {out}.")
    print("Preparing slices ...", flush=True)
    prepared = pipeline.prepare_data(data, args.masks, plans["ours"].size)
    networks = _train_networks(args, data, prepared, plans)
    if networks is None:
        return INTERRUPTED
    section = results.report_results(data, networks, args.run_dir, out)
    if not args.report_only:
        name = "smoke" if args.smoke else "brain_cnn"
        made = bundle_files.MadeFrom(name, plans["ours"], report, args.start_from)
        bundle_files.write_bundle(networks["ours"], data, prepared, made, out)
        print(f"Bundle written to {out}.")
    results.update_metrics(out, data.split.name, section)
    return 0


def _plans(args: argparse.Namespace) -> dict[str, TrainSettings]:
    """Return the settings of each network to train, by its name."""
    smoke: dict[str, Any] = _SMOKE_SETTINGS if args.smoke else {}
    ours = with_changes(replace(TrainSettings(seed=args.seed), **smoke), args.set)
    if args.epochs is not None:
        ours = replace(ours, epochs=args.epochs)
    if args.no_baseline:
        return {"ours": ours}
    baseline = replace(BASELINE, seed=args.seed, **smoke)
    if args.baseline_epochs is not None:
        baseline = replace(baseline, epochs=args.baseline_epochs)
    return {"ours": ours, "baseline": baseline}


def _check_run_folder(args: argparse.Namespace) -> None:
    """Refuse to go on where nothing is, and to overwrite what is there."""
    if args.resume and not args.run_dir.exists():
        raise SettingsError(
            "nothing-to-resume", f"There is no run in {args.run_dir}.", "Start it without --resume."
        )
    if not args.resume and run_exists(args.run_dir / "ours"):
        raise SettingsError(
            "run-exists",
            f"{args.run_dir} holds a run already.",
            "Go on with --resume, or choose another --run-dir.",
        )


def _train_networks(
    args: argparse.Namespace,
    data: LabelledData,
    prepared: PreparedData,
    plans: dict[str, TrainSettings],
) -> dict[str, Trained] | None:
    """Train one network after the other; None where Ctrl-C cut one short."""
    from brain_cnn.training import pipeline
    from brain_cnn.training.run_folder import RunFolder

    made = _make_pictures(args, data, prepared, plans["ours"])
    start = None if args.start_from is None else pipeline.load_network(args.start_from)
    networks: dict[str, Trained] = {}
    for name, plan in plans.items():
        print(f"\nTraining {name}: {plan.epochs} epochs of {plan.epoch_images} images.", flush=True)
        run = RunFolder(args.run_dir / name)
        ours: dict[str, Any] = {"start": start, "made": made} if name == "ours" else {}
        trained = pipeline.train_one(data, prepared, plan, run, resume=args.resume, **ours)
        if trained is None:
            print(f"Checkpoints, to use or to go on from: {run.path}/best.keras, last.keras")
            return None
        networks[name] = trained
    return networks


def _make_pictures(
    args: argparse.Namespace, data: LabelledData, prepared: PreparedData, settings: TrainSettings
) -> MadePictures:
    """Make the pictures beside the real ones, or find them in the cache."""
    from brain_cnn.training import mixing
    from brain_cnn.training.pipeline import MadePictures

    labels, normals, split = args.labels, args.normals, data.split
    source = mixing.build_mixture(prepared, split.train, settings, labels, normals, args.cache)
    if labels is None or normals is None:
        return MadePictures(source, None)
    others = mixing.other_sources(prepared, split.val, settings, labels, normals, args.cache)
    return MadePictures(source, others)


def _load(args: argparse.Namespace, drawn: Path) -> LabelledData:
    from brain_cnn.dataset.labelled import load_labelled
    from brain_cnn.phantoms import write_phantom_dataset

    if args.data is None:
        if not args.smoke:
            raise SettingsError("no-data", "No data set was given.", "Give --data, or --smoke.")
        print("Drawing a data set by code.", flush=True)
        write_phantom_dataset(drawn, _SMOKE_IMAGES, 8, seed=args.seed)
        return load_labelled(str(drawn), "official", seed=args.seed)
    print(f"Reading {args.data} ...", flush=True)
    return load_labelled(args.data, args.split, args.protocol, seed=args.seed)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="folder, ZIP, https:// link to a ZIP, or Google Drive share link")
    add("--out", type=Path, help="where the bundle goes (default: the run folder)")
    add(
        "--split",
        choices=("official", "protocol", "grouped"),
        default="official",
        help="the folders as they are; the CSV of --protocol; or groups found in the pixels",
    )
    add("--protocol", type=Path, help="CSV with protocol_split and similarity_group per image")
    add("--masks", help="folder or ZIP of tumour masks, named like the images")
    add("--labels", type=Path, help="ZIP or folder of head label maps: synthetic heads")
    add("--normals", type=Path, help="ZIP or folder of normal heads' volumes")
    add("--cache", type=Path, default=Path(".cache/pools"), help="keeps what is made of them")
    add("--run-dir", type=Path, default=Path("runs/run"), help="keeps checkpoints and results")
    add("--resume", action="store_true", help="go on after the last finished epoch")
    add(
        "--start-from",
        type=Path,
        metavar="KERAS",
        help="begin with the weights of another run (its ours/best.keras), not with random ones",
    )
    add("--smoke", action="store_true", help="rehearse the whole run in about a minute")
    add(
        "--distribute",
        action="store_true",
        help="share each batch among all devices of this machine (JAX backend alone)",
    )
    add("--seed", type=int, default=0, help="the same seed trains the same network")
    add("--epochs", type=int, help="of our network")
    add("--baseline-epochs", type=int, help="of the plain two-convolution network")
    add("--no-baseline", action="store_true", help="do not train the plain network beside ours")
    add(
        "--report-only",
        action="store_true",
        help="write results and predictions into --out, but leave its weights alone",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of TrainSettings, e.g. --set batch=64 --set augment.flip=0",
    )
    return parser.parse_args(argv)
