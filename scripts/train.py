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
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.errors import BrainCnnError, SettingsError

_WORDS = {"true": True, "false": False}
_SMOKE_IMAGES = 24  # of each class and part


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status (130 after Ctrl-C, 2 after a refused input)."""
    args = _parse(arguments)
    # Before TensorFlow is imported: its fast kernels are off by default on some processors,
    # and its log speaks of graphics cards that nobody asked for.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return _run(args)
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    from brain_cnn.training import pipeline
    from brain_cnn.training.mixing import build_mixture
    from brain_cnn.training.settings import BASELINE, TrainSettings
    from brain_cnn.training.trainer import make_repeatable

    settings = _with_changes(TrainSettings(seed=args.seed), args.set, _smoke_settings(args))
    baseline = _with_changes(replace(BASELINE, seed=args.seed), [], _smoke_settings(args))
    if args.epochs is not None:
        settings = replace(settings, epochs=args.epochs)
    if args.baseline_epochs is not None:
        baseline = replace(baseline, epochs=args.baseline_epochs)
    run_path = args.run_dir
    if args.resume and not run_path.exists():
        raise SettingsError(
            "nothing-to-resume", f"There is no run in {run_path}.", "Start it without --resume."
        )
    if not args.resume and (run_path / "ours" / "state.json").exists():
        raise SettingsError(
            "run-exists",
            f"{run_path} holds a run already.",
            "Go on with --resume, or choose another --run-dir.",
        )
    run_path.mkdir(parents=True, exist_ok=True)
    out = args.out or run_path / "bundle"
    make_repeatable(args.seed)
    if args.distribute:
        from brain_cnn.training.distribution import distribute_training

        print(f"Each batch is shared among {distribute_training()} devices.", flush=True)

    with tempfile.TemporaryDirectory() as drawn:
        data = _load(args, Path(drawn))
    report = pipeline.report_data(data, run_path)
    if args.smoke:
        data = pipeline.thin_out(data, _SMOKE_IMAGES, seed=args.seed)
    (run_path / "versions.json").write_text(json.dumps(pipeline.package_versions(), indent=2))
    print(f"Run folder {run_path}; bundle to {out}.")
    print("Preparing slices ...", flush=True)
    prepared = pipeline.prepare_data(data, args.masks, settings.size)
    start = None if args.start_from is None else pipeline.load_network(args.start_from)
    mixture = build_mixture(
        prepared, data.split.train, settings, args.labels, args.normals, args.cache
    )
    networks: dict[str, pipeline.Trained] = {}
    plans = [("ours", settings)] + ([] if args.no_baseline else [("baseline", baseline)])
    for name, plan in plans:
        print(f"\nTraining {name}: {plan.epochs} epochs of {plan.epoch_images} images.", flush=True)
        ours = {"start": start, "mixture": mixture} if name == "ours" else {}
        trained = pipeline.train_one(
            data, prepared, plan, run_path / name, resume=args.resume, **ours
        )
        if trained is None:
            print(f"Checkpoints, to use or to go on from: {run_path / name}/best.keras, last.keras")
            return 130
        networks[name] = trained
    section = pipeline.report_results(data, networks, run_path, out)
    if not args.report_only:
        name = "smoke" if args.smoke else "brain_cnn"
        pipeline.write_bundle(
            networks["ours"], data, prepared, settings, report, out, name, args.start_from
        )
        print(f"Bundle written to {out}.")
    pipeline.update_metrics(out, data.split.name, section)
    return 0


def _load(args: argparse.Namespace, drawn: Path) -> Any:
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


def _smoke_settings(args: argparse.Namespace) -> dict[str, Any]:
    if not args.smoke:
        return {}
    return {"epochs": 4, "epoch_images": 96, "size": 96, "small_size": 64}


def _with_changes(settings: Any, changes: list[str], more: dict[str, Any]) -> Any:
    """Apply `name=value` texts; an unknown name or a value of the wrong kind is refused."""
    own: dict[str, Any] = dict(more)
    augment: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name.startswith("augment."):
            augment[name[8:]] = _parse_value(settings.augment, name[8:], text, "augment.")
        else:
            own[name] = _parse_value(settings, name, text, "")
    return replace(settings, **own, augment=replace(settings.augment, **augment))


def _parse_value(settings: Any, name: str, text: str, prefix: str) -> Any:
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    kinds.pop("augment", None)  # its own settings are named one by one
    if name not in kinds:
        known = ", ".join(sorted(prefix + known for known in kinds))
        raise SettingsError(
            "unknown-setting", f"Unknown setting {prefix + name!r}.", f"Known: {known}."
        )
    try:
        # bool("no") would be true.
        return _WORDS[text.lower()] if kinds[name] is bool else kinds[name](text)
    except (ValueError, KeyError):
        raise SettingsError(
            "bad-setting",
            f"{prefix}{name} is {text!r}.",
            f"Give a value of type {kinds[name].__name__}.",
        ) from None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
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
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
