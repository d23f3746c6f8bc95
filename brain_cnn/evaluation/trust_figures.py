"""Figures of numbers about uncertainty, faithfulness and robustness; no slice is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brain_cnn.evaluation.figures import square_axes

_COLOURS = ("#0072B2", "#D55E00")
Sections = dict[str, dict[str, Any]]
"""Network ("ours", "baseline") -> its section of metrics.json."""


def reliability_diagram(section: dict[str, Any], title: str = "") -> Figure:
    """Draw accuracy against confidence, with intervals; a bin's dot grows with its slices."""
    figure, axes = square_axes(title, "confidence (mean of the bin)", "accuracy")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as sure as right")
    bins = section["bins"]
    x = [b["confidence"] for b in bins]
    y = [b["accuracy"]["value"] for b in bins]
    # A bin of one group has no interval: a dot without bar.
    low, high = (
        [
            v if b["accuracy"][end] is None else b["accuracy"][end]
            for b, v in zip(bins, y, strict=True)
        ]
        for end in ("low", "high")
    )
    bars = np.maximum([np.subtract(y, low), np.subtract(high, y)], 0.0)
    axes.errorbar(x, y, yerr=bars, fmt="none", color=_COLOURS[0], capsize=3)
    axes.scatter(x, y, s=[12 + 60 * np.sqrt(b["n"] / section["n"]) for b in bins], zorder=3)
    ece = section["ece"]["value"]
    axes.text(0.03, 0.93, f"ECE {ece:.3f}, n = {section['n']}", transform=axes.transAxes)
    axes.legend(loc="lower right")
    return figure


def selective_curves(curves: dict[str, list[dict[str, Any]]], title: str = "") -> Figure:
    """Draw accuracy against the share answered; name -> rows of `uncertainty.selective`."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in curves.items():
        shares = [row["share"] for row in rows]
        (line,) = axes.plot(shares, [r["accuracy"]["value"] for r in rows], marker="o", label=name)
        low, high = (
            [np.nan if r["accuracy"][end] is None else r["accuracy"][end] for r in rows]
            for end in ("low", "high")
        )
        axes.fill_between(shares, low, high, color=line.get_color(), alpha=0.12)
    axes.set(xlabel="share answered, the surest first", ylabel="accuracy of the answered")
    axes.set(title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def deletion_insertion_curves(sections: Sections, title: str = "") -> Figure:
    """Draw the mean curves of deletion and insertion against random order."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for place, kind in enumerate(("deletion", "insertion"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for (name, section), colour in zip(sections.items(), _COLOURS, strict=False):
            curves = section["deletion_insertion"]["curves"]
            x = np.linspace(0, 1, len(curves[kind]))
            axes.plot(x, curves[kind], color=colour, label=f"{name}, hottest first")
            axes.plot(x, curves[f"random_{kind}"], color=colour, linestyle=":", label="random")
        axes.set(xlabel=f"share of cells, {kind}", ylabel="probability of the true class")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    return figure


def corruption_curves(sections: Sections, title: str = "") -> Figure:
    """Draw accuracy against severity, one panel a corruption."""
    kinds = list(next(iter(sections.values()))["kinds"])
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    grid = figure.subplots(2, -(-len(kinds) // 2), sharex=True, sharey=True, squeeze=False)
    for axes, kind in zip(grid.ravel(), kinds, strict=False):
        for (name, section), colour in zip(sections.items(), _COLOURS, strict=False):
            values = [v["value"] for v in section["kinds"][kind]["severities"]]
            axes.plot(range(1, len(values) + 1), values, marker="o", color=colour, label=name)
        axes.set(title=kind, ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    grid[0, 0].legend()
    figure.supxlabel("severity")
    figure.supylabel("accuracy")
    figure.suptitle(title)
    return figure
