"""One page to keep: what was said of a slice or study, by which model, and its limits.

Drawn by ReportLab in the fonts that every PDF reader has. The same content gives the same
bytes: nothing tells when or where the page was made. Nothing here knows a file's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfbase.pdfmetrics import stringWidth

from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.pdf_page import (
    BOLD,
    FAINT,
    HEAVY,
    MARGIN,
    QUIET,
    REGULAR,
    RULE,
    SHADE,
    TEXT,
    Page,
    Style,
    plain,
)

PAPERS = {"a4": A4, "letter": LETTER}
TITLE = "Brain CNN report"

_GAP = 12.0  # points, as every length below
# Tried in turn until everything fits on one page: side of the pictures, size of small text.
_FITS: tuple[tuple[float, float], ...] = (
    (178.0, 8.8), (165.0, 8.5), (150.0, 8.2), (130.0, 8.0), (105.0, 7.5), (80.0, 7.0), (60.0, 6.5)
)  # fmt: skip
_DASHES = ((), (4.0, 1.6), (1.2, 1.6), (6.0, 1.6, 1.2, 1.6))


@dataclass(frozen=True)
class ProbabilityRow:
    """A class in the table: its name, its probability as 0..1 and in words, and its set."""

    name: str
    share: float
    cells: tuple[str, ...]
    in_set: bool


@dataclass(frozen=True, eq=False)
class Curve:
    """The smoothed probabilities along a study.

    Attributes:
        names: of the classes.
        evidence: float (n, len(names)), NaN where there are none.
        marked: the slice that is shown, from 0.
    """

    names: tuple[str, ...]
    evidence: NDArray[np.floating]
    marked: int


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything on the page, in words and pixels; no class is named where there is none.

    Attributes:
        badge: "Confident", "Uncertain" or "Refused".
        headline: the verdict in words.
        sentences: what goes with it, a paragraph each.
        slice_pixels: uint8 (h, w). slice_words: its caption.
        overlay_pixels: uint8 (h, w, 3) RGB, or None. overlay_words: its caption.
        columns: heads of the cells in `rows`.
        rows: the classes, likeliest first; empty where none is named.
        checks: (sentence, value, limit, passed or failed) of each check of familiarity.
        curve: for a study.
        scan, model: (name, value) facts.
        limits: sentences.
        disclaimer: the last word.
    """

    badge: str
    headline: str
    sentences: tuple[str, ...]
    slice_pixels: NDArray[np.uint8]
    slice_words: str
    overlay_pixels: NDArray[np.uint8] | None = None
    overlay_words: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[ProbabilityRow, ...] = ()
    checks: tuple[tuple[str, str, str, str], ...] = ()
    curve: Curve | None = None
    scan: tuple[tuple[str, str], ...] = ()
    model: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    disclaimer: str = DISCLAIMER


def draw_report(content: ReportContent, paper: str = "a4") -> bytes:
    """Return the PDF, one page.

    Args:
        content: what to write.
        paper: one of `PAPERS`.

    Raises:
        KeyError: another paper.
    """
    for side, size in _FITS:
        page = _Report(PAPERS[paper], side, size)
        page.write(content)
        if page.y >= MARGIN:
            break
    return page.finish()


class _Report(Page):
    """The report's page; `side` is that of its pictures."""

    def __init__(self, paper: tuple[float, float], side: float, size: float) -> None:
        super().__init__(paper, size, TITLE, DISCLAIMER)
        self.side = side

    def write(self, content: ReportContent) -> None:
        self.text(TITLE, 9.5, role="H1", style=FAINT)
        self.text(content.disclaimer, self.size, style=HEAVY)
        self.rule()
        self.text(content.badge, 10, style=Style(bold=True, grey=QUIET))
        self.text(content.headline, 17, role="H2", style=HEAVY)
        for sentence in content.sentences:
            self.text(sentence, self.size + 0.7)
        self.y -= 5
        self.pictures(content)
        if content.curve is not None:
            self.curve(content.curve)
        if content.checks:
            self.heading("Is it like what the model knows?")
            self.table(("Check", "Value", "Limit", "Result"), content.checks, (0.64, 0.76, 0.88))
        for title, facts in (("The scan", content.scan), ("The model", content.model)):
            if facts:
                self.heading(title)
                self.facts(facts)
        if content.limits:
            self.heading("Limits")
            with self.tags.group("L"):
                for sentence in content.limits:
                    self.text(f"•  {sentence}", self.size, role="LI", style=Style(hang=8))
        self.y -= 3
        self.rule()
        self.text(content.disclaimer, self.size, style=HEAVY)

    def pictures(self, content: ReportContent) -> None:
        """Lay the slice, the overlay and the table of probabilities beside each other."""
        top, lowest, left = self.y, self.y, self.left
        for pixels, words in (
            (content.slice_pixels, content.slice_words),
            (content.overlay_pixels, content.overlay_words),
        ):
            if pixels is None:
                continue
            self.y = top
            self.picture(pixels, words, left, self.side)
            lowest, left = min(lowest, self.y), left + self.side + _GAP
        if content.rows:
            self.y = top
            self.probabilities(content, left)
            lowest = min(lowest, self.y)
        self.y = lowest - 2

    def probabilities(self, content: ReportContent, left: float) -> None:
        size, columns = self.size, content.columns
        widths = [max(stringWidth(c, BOLD, size), 36.0) for c in columns]
        edges = [self.right - sum(widths[i + 1 :]) - 8 * (len(widths) - i - 1)
                 for i in range(len(widths))]  # fmt: skip
        with self.tags.group("Table"):
            with self.tags.group("TR"):
                self.cells(("Class", *columns), left, edges, bold=True, heads="Column")
            self.y -= 3
            for row in content.rows:
                with self.tags.decoration():
                    full = self.right - left
                    self.canvas.setFillGray(SHADE)
                    self.canvas.rect(left, self.y - size * 1.9, full, 3, stroke=0, fill=1)
                    self.canvas.setFillGray(0.25 if row.in_set else 0.6)
                    self.canvas.rect(
                        left, self.y - size * 1.9, full * row.share, 3, stroke=0, fill=1
                    )
                with self.tags.group("TR"):
                    self.cells((row.name, *row.cells), left, edges, bold=row.in_set, heads="Row")
                self.y -= 9
        self.text(
            "Bold: in the prediction set.", size - 0.5, style=FAINT, left=left, right=self.right
        )

    def curve(self, curve: Curve) -> None:
        """Draw the probability of each class along the slices, told apart by their dashes."""
        count, height = len(curve.evidence), min(62.0, self.side * 0.4)
        self.heading(f"Probability along the {count} slices")
        bottom, width = self.y - height, self.right - self.left
        canvas = self.canvas
        words = (
            f"Curves from 0 at the bottom to 1 at the top, slice 1 at the left; "
            f"the upright line is slice {curve.marked + 1}, which is shown above."
        )
        with self.tags.content("Figure", alt=words):
            canvas.setLineWidth(0.5)
            canvas.setStrokeGray(RULE)
            canvas.rect(self.left, bottom, width, height, stroke=1, fill=0)
            x = self.left + (curve.marked + 0.5) * width / count
            canvas.line(x, bottom, x, bottom + height)
            canvas.setLineWidth(1.1)
            canvas.setStrokeGray(TEXT)
            for label in range(len(curve.names)):
                canvas.setDash(*((list(_DASHES[label]),) if _DASHES[label] else ()))
                for piece in _pieces(curve.evidence[:, label]):
                    path = canvas.beginPath()
                    for number, (place, share) in enumerate(piece):
                        point = (self.left + (place + 0.5) * width / count, bottom + share * height)
                        (path.lineTo if number else path.moveTo)(*point)
                    canvas.drawPath(path)
            canvas.setDash()
        self.y = bottom - 3
        self.legend(curve.names)
        self.text(words, self.size - 0.5, style=FAINT)

    def legend(self, names: Sequence[str]) -> None:
        self.y -= self.size * 1.3
        x = self.left
        for label, name in enumerate(names):
            with self.tags.decoration():
                self.canvas.setStrokeGray(TEXT)
                self.canvas.setLineWidth(1.1)
                self.canvas.setDash(*((list(_DASHES[label]),) if _DASHES[label] else ()))
                self.canvas.line(x, self.y + 3, x + 24, self.y + 3)
                self.canvas.setDash()
            with self.tags.content("P"):
                self.canvas.setFillGray(TEXT)
                self.canvas.setFont(REGULAR, self.size)
                self.canvas.drawString(x + 28, self.y + 1, plain(name))
            x += 28 + stringWidth(plain(name), REGULAR, self.size) + 16
        self.y -= 2


def _pieces(values: NDArray[np.floating]) -> list[list[tuple[int, float]]]:
    """Return the unbroken pieces of a curve as (place, value); NaN breaks it."""
    pieces: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if np.isfinite(value):
            pieces[-1].append((place, float(value)))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
