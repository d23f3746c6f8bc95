"""Measure what a saved bundle can be trusted with, and write it into its metrics.json.

    brain-cnn measure --data brain-tumor-mri.zip --protocol provenance.csv \\
        --masks masks-trainval.zip --external external-dev.zip --not-brain not-brain-mri-dev.zip \\
        --baseline runs/protocol/baseline/best.keras
    brain-cnn measure --only external,refusal ...

Every section can be measured alone; the others stay as they are. Figures of numbers go into
the bundle's figures/. Then `python scripts/write_docs.py` fills README and model card.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from brain_cnn.dataset import copies
from brain_cnn.dataset.index import load_masks
from brain_cnn.dataset.labelled import LabelledData, load_labelled, true_labels
from brain_cnn.errors import BrainCnnError, SettingsError
from brain_cnn.evaluation import external, sections, trust_figures
from brain_cnn.evaluation.external_patients import evaluate_patients
from brain_cnn.evaluation.figures import save_figure
from brain_cnn.evaluation.metrics import format_interval
from brain_cnn.evaluation.models import EvaluatedModel, KerasModel, ServedModel
from brain_cnn.evaluation.shortcuts import shortcut_audit
from brain_cnn.inference.classifier import load_classifier


class Measurement:
    """What the sections share: the networks and the data, each loaded when it is first needed."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.ours = ServedModel(load_classifier(args.model, threads=args.threads))
        self.out: Path = args.out or self.ours.bundle.path

    @cached_property
    def data(self) -> LabelledData:
        """The data set, split as the protocol says."""
        return load_labelled(self._need("data"), "protocol", Path(self._need("protocol")))

    @cached_property
    def models(self) -> dict[str, ServedModel | KerasModel]:
        """The networks that are measured, by name."""
        models: dict[str, ServedModel | KerasModel] = {"ours": self.ours}
        if self.args.baseline is not None:
            import keras

            baseline = keras.saving.load_model(self.args.baseline, compile=False)
            models["baseline"] = sections.calibrated_keras_model(baseline, self.data)
        return models

    @cached_property
    def test(self) -> sections.Part:
        """The test part, or as much of it as is wanted."""
        positions = self.data.split.test
        chosen = sections.spread_out(len(positions), self.args.limit)
        return sections.take(self.data, positions[chosen])

    @cached_property
    def masks(self) -> dict[str, Any]:
        """Tumour masks by the path of their image."""
        return load_masks(self._need("masks"), self.data.records)

    def masked(self, model: EvaluatedModel, limit: int | None) -> sections.MaskedPart:
        """Return the val tumours with masks, at most `limit`, prepared for a network."""
        return sections.take_masked(self.data, self.masks, model.size, limit)

    def _need(self, name: str) -> str:
        value = getattr(self.args, name)
        if value is None:
            flag = name.replace("_", "-")
            raise SettingsError(
                "input-missing", f"This section needs --{flag}.", "Or leave it out with --only."
            )
        return str(value)

    def sureness(self) -> dict[str, Any]:
        """Calibration, prediction sets, verdicts and selective prediction on protocol test."""
        found = {}
        for name, model in self.models.items():
            section = sections.evaluate_uncertainty(model, self.test, "protocol test")
            found[name] = section
            print(f"  {name}: ECE {format_interval(section['ece'])}, sets of 0.95 "
                  f"{format_interval(section['coverage']['0.95']['all']['coverage'])}")  # fmt: skip
            figure = trust_figures.reliability_diagram(section, f"protocol test, {name}")
            self._save(figure, f"reliability_{name}")
        curves = {name: section["selective"] for name, section in found.items()}
        self._save(trust_figures.selective_curves(curves, "protocol test"), "selective_protocol")
        return found

    def external(self) -> dict[str, Any]:
        """Other scanners, by weighting."""
        data = external.read_external(self._need("external"))
        pictures = [one.pixels for one in data.slices]
        groups = copies.find_lookalikes(pictures, copies.find_copies(pictures))
        found = {}
        for name, model in self.models.items():
            found[name] = external.evaluate_external(model.predict(data.slices), data, groups)
            for weighting, row in found[name]["weightings"].items():
                print(
                    f"  {name}, {weighting}: balanced accuracy "
                    f"{format_interval(row['balanced_accuracy'])}, confidently missed "
                    f"{format_interval(row['tumour_confidently_notumor'])}, answered "
                    f"{format_interval(row['answered'])}, of these right "
                    f"{format_interval(row['accuracy_of_confident'])}"
                )
        ours = found["ours"]["weightings"]
        curves = {name: row["selective"] for name, row in ours.items()}
        title = f"other scanners ({external.DEVELOPMENT})"
        self._save(trust_figures.selective_curves(curves, title), "selective_external")
        return found

    def external2(self) -> dict[str, Any]:
        """Other scanners whose patients are known, by class and weighting."""
        data = external.read_external(self._need("external2"))
        masks = {}
        if self.args.external2_masks is not None:
            for name, one in external.read_pictures(self.args.external2_masks):
                path = PurePosixPath(name)
                masks[f"{path.parent.name}/{path.stem}"] = one.pixels
        found = {"ours": evaluate_patients(self.ours, data, masks)}
        for row in found["ours"]["rows"]:
            print(f"  {row['class']} {row['weighting']}: recall {format_interval(row['recall'])}")
        return found

    def refusal(self) -> dict[str, Any]:
        """What is no brain MRI, against the protocol test; the baseline has no gate."""
        named = list(external.read_pictures(self._need("not_brain")))
        outliers = self.ours.predict([one for _, one in named])
        test = self.ours.predict(self.test.slices)
        section = external.evaluate_refusal(
            outliers, [name for name, _ in named], test, self.test.groups
        )
        for key in ("refused", "accepted", "auroc"):
            print(f"  {key} {format_interval(section[key])}")
        return section

    def corrupted(self) -> dict[str, Any]:
        """Six corruptions in five severities on protocol test."""
        found = {}
        for name, model in self.models.items():
            print(f"  {name}")
            found[name] = sections.evaluate_corrupted(
                model, self.test, "protocol test, 6 corruptions x 5 severities"
            )
            print(f"  mean {format_interval(found[name]['mean'])}")
        figure = trust_figures.corruption_curves(found, "protocol test, corrupted")
        self._save(figure, "corrupted")
        return found

    def localisation(self) -> dict[str, Any]:
        """Pointing game and energy on the val masks."""
        found = {}
        for name, model in self.models.items():
            part = self.masked(model, self.args.limit)
            section = sections.evaluate_localisation(model, part, "val tumours with masks")
            found[name] = section
            print(f"  {name}: peak on the tumour {format_interval(section['pointing'])}, "
                  f"energy ratio {format_interval(section['energy_ratio'], 2)}")  # fmt: skip
        return found

    def faithfulness(self) -> dict[str, Any]:
        """Deletion, insertion, weight randomisation, tumour removed, on val tumours."""
        found = {}
        for name, model in self.models.items():
            part = self.masked(model, self.args.limit or self.args.faithfulness_slices)
            twin = model.with_random_weights()
            protocol = "val tumours with masks, evenly chosen"
            section = sections.evaluate_faithfulness(model, twin, part, protocol)
            found[name] = section
            curves = section["deletion_insertion"]
            print(f"  {name}: deletion gain {format_interval(curves['deletion_gain'])}, "
                  f"insertion gain {format_interval(curves['insertion_gain'])}")  # fmt: skip
        figure = trust_figures.deletion_insertion_curves(found, "val tumours")
        self._save(figure, "deletion_insertion")
        return found

    def shortcuts(self) -> dict[str, Any]:
        """What a decision tree makes of size, border and histogram."""
        split = self.data.split
        data = self.data.subset(np.concatenate([split.train, split.val, split.test]))
        return shortcut_audit(
            data.images,
            true_labels(data, np.arange(len(data.images))),
            {name: getattr(data.split, name) for name in ("train", "val", "test")},
            data.split.groups,
            self.ours.size,
        )

    def _save(self, figure: Any, name: str) -> None:
        save_figure(figure, self.out / "figures" / name)


# Section of metrics.json -> what measures it, and whether it holds one record a network.
SECTIONS: dict[str, tuple[Callable[[Measurement], dict[str, Any]], str, bool]] = {
    "sureness": (Measurement.sureness, "sureness", True),
    "refusal": (Measurement.refusal, "not_brain_mri", False),
    "external": (Measurement.external, "external", True),
    "external2": (Measurement.external2, "external2", True),
    "localisation": (Measurement.localisation, "localisation", True),
    "shortcuts": (Measurement.shortcuts, "shortcuts", False),
    "faithfulness": (Measurement.faithfulness, "faithfulness", True),
    "corrupted": (Measurement.corrupted, "corrupted", True),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args = _parse(argv)
    try:
        names = _chosen(args.only)
        measurement = Measurement(args)
        bundle = measurement.ours.bundle
        print(f"Model {bundle.name} {bundle.version} ({bundle.sha256[:12]}).", flush=True)
        for name in names:
            measure, key, by_network = SECTIONS[name]
            print(f"{name}: {(measure.__doc__ or '').splitlines()[0]}", flush=True)
            section = measure(measurement)
            # Written at once: a long measurement that is stopped keeps what it has.
            _record(measurement.out / "metrics.json", key, section, by_network)
        print(f"Written to {measurement.out}. Next: python scripts/write_docs.py.")
    except BrainCnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _chosen(only: str | None) -> list[str]:
    names = list(SECTIONS) if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise SettingsError(
            "unknown-section", f"Unknown section {unknown[0]!r}.", f"Known: {', '.join(SECTIONS)}."
        )
    return names


def _record(path: Path, key: str, section: dict[str, Any], by_network: bool) -> None:
    """Put one section into metrics.json; what it says of networks not measured now stays."""
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    old = metrics.get(key, {})
    keeps = by_network and not set(old) - {"ours", "baseline"}
    metrics[key] = {**old, **section} if keeps else section
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, help="bundle folder; default: the shipped one")
    add("--baseline", type=Path, help=".keras of the baseline; measured beside ours")
    add("--data", help="folder, ZIP, https or Drive link of the data set")
    add("--protocol", type=Path, help="CSV of the protocol split")
    add("--masks", help="folder or ZIP of tumour masks")
    add("--external", help="folder or ZIP of other scanners: <class>/<subtype>-<weighting>-<n>")
    add("--external2", help="a second such set: <class>/<patient>-<weighting>-<n>")
    add("--external2-masks", help="its tumour masks: <class>/<patient>-<n>")
    add("--not-brain", help="folder or ZIP of pictures that are no brain MRI: <kind>-<n>")
    add("--only", help=f"sections, comma-separated, of {', '.join(SECTIONS)}; default: all")
    add("--out", type=Path, help="metrics.json and figures/ go here; default: the bundle")
    add("--limit", type=int, help="at most this many slices a section: a rehearsal")
    add("--faithfulness-slices", type=int, default=150, help="val tumours for faithfulness")
    add("--threads", type=int, help="of the engine; default: its own choice")
    return parser.parse_args(argv)
