"""A PDF page that is written from top to bottom, tagged as it goes.

Drawn by ReportLab in the fonts that every PDF reader has. Nothing tells when or where the
page was made: the same calls give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from brain_cnn.render.pdf_tags import Tags

MARGIN = 40.0
"""In points, as every length here."""

REGULAR, BOLD = "Helvetica", "Helvetica-Bold"
QUIET, TEXT, RULE, SHADE = 0.33, 0.08, 0.75, 0.93
"""Greys, 0 is black."""


@dataclass(frozen=True)
class Style:
    """How a paragraph looks: bold, its grey, the indent of later lines, its head's scope."""

    bold: bool = False
    grey: float = TEXT
    hang: float = 0.0
    scope: str = ""


PLAIN = Style()
HEAVY = Style(bold=True)
FAINT = Style(grey=QUIET)


class Page:
    """One page; `y` is where the top of what comes next lies.

    Args:
        paper: (width, height).
        size: of small text.
        title, subject: of the document.
    """

    def __init__(self, paper: tuple[float, float], size: float, title: str, subject: str) -> None:
        self.size = size
        self.left, self.right = MARGIN, paper[0] - MARGIN
        self.y = paper[1] - MARGIN
        self._file = io.BytesIO()
        # Invariant: no clock, no machine.
        self.canvas = Canvas(self._file, pagesize=paper, invariant=1, lang="en", pageCompression=1)
        self.canvas.setTitle(title)
        self.canvas.setSubject(subject)
        self.canvas.setAuthor("Brain CNN")
        self.canvas.setCreator("Brain CNN")
        self.canvas.setViewerPreference("DisplayDocTitle", "true")
        self.tags = Tags(self.canvas)

    def finish(self) -> bytes:
        """Return the document; nothing can be written after it."""
        self.tags.finish()
        self.canvas.save()
        return self._file.getvalue()

    def text(
        self,
        words: str,
        size: float,
        *,
        role: str = "P",
        style: Style = PLAIN,
        left: float | None = None,
        right: float | None = None,
    ) -> None:
        """Write a paragraph, broken into lines, and go below it.

        Args:
            words: in any characters; those that the fonts lack become "?".
            size: of the letters.
            role: of the tag.
            style: how it looks.
            left, right: its edges; the page's where they are None.
        """
        left = self.left if left is None else left
        right = self.right if right is None else right
        font = BOLD if style.bold else REGULAR
        lines = simpleSplit(plain(words), font, size, right - left - style.hang) or [""]
        self.canvas.setFillGray(style.grey)
        self.canvas.setFont(font, size)
        with self.tags.content(role, scope=style.scope):
            for place, line in enumerate(lines):
                self.y -= size * 1.24
                indent = style.hang if place else 0
                self.canvas.drawString(left + indent, self.y + size * 0.24, line)
        self.y -= 2

    def heading(self, words: str) -> None:
        """Write the title of a part."""
        self.y -= 4
        self.text(words, 10, role="H2", style=HEAVY)

    def rule(self) -> None:
        """Draw a line across."""
        with self.tags.decoration():
            self.canvas.setStrokeGray(RULE)
            self.canvas.setLineWidth(0.6)
            self.canvas.line(self.left, self.y - 2, self.right, self.y - 2)
        self.y -= 7

    def picture(self, pixels: NDArray[np.uint8], words: str, left: float, side: float) -> None:
        """Lay uint8 (h, w) or (h, w, 3) into a black square at `left`, with its caption."""
        scale = side / max(pixels.shape[:2])
        height, width = pixels.shape[0] * scale, pixels.shape[1] * scale
        reader = ImageReader(Image.fromarray(np.ascontiguousarray(pixels)))
        with self.tags.decoration():
            self.canvas.setFillGray(0)
            self.canvas.rect(left, self.y - side, side, side, stroke=0, fill=1)
        with self.tags.content("Figure", alt=words):
            self.canvas.drawImage(
                reader,
                left + (side - width) / 2,
                self.y - (side + height) / 2,
                width,
                height,
            )
        self.y -= side + 2
        self.text(words, self.size - 0.5, style=FAINT, left=left, right=left + side)

    def cells(
        self, words: Sequence[str], left: float, edges: Sequence[float], *, bold: bool, heads: str
    ) -> None:
        """Write one line: the first cell at `left`, each other ending at its edge."""
        font, size = (BOLD if bold else REGULAR), self.size
        self.y -= size * 1.3
        self.canvas.setFillGray(TEXT)
        self.canvas.setFont(font, size)
        for place, cell in enumerate(words):
            head = heads == "Column" or place == 0
            with self.tags.content("TH" if head else "TD", scope=heads if head else ""):
                if place == 0:
                    self.canvas.drawString(left, self.y + 1, plain(cell))
                else:
                    self.canvas.drawRightString(edges[place - 1], self.y + 1, plain(cell))

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], starts: Sequence[float]
    ) -> None:
        """Write a table whose first column may wrap; the others start at shares of the width."""
        width = self.right - self.left
        lefts = [self.left, *(self.left + share * width for share in starts)]
        rights = [*(start - 6 for start in lefts[1:]), self.right]
        with self.tags.group("Table"):
            for number, row in enumerate((head, *rows)):
                top, lowest = self.y, self.y
                with self.tags.group("TR"):
                    for place, cell in enumerate(row):
                        self.y = top
                        is_head = number == 0 or place == 0
                        scope = ("Column" if number == 0 else "Row") if is_head else ""
                        style = Style(bold=number == 0, scope=scope)
                        self.text(
                            cell,
                            self.size,
                            role="TH" if is_head else "TD",
                            style=style,
                            left=lefts[place],
                            right=rights[place],
                        )
                        lowest = min(lowest, self.y)
                self.y = lowest

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write names and values as a table without a head."""
        middle = self.left + 118
        with self.tags.group("Table"):
            for name, value in pairs:
                top = self.y
                with self.tags.group("TR"):
                    style = Style(grey=QUIET, scope="Row")
                    self.text(name, self.size, role="TH", style=style, right=middle - 6)
                    below, self.y = self.y, top
                    self.text(value, self.size, role="TD", left=middle)
                self.y = min(below, self.y) + 1


def plain(words: str) -> str:
    """Return the words in the characters that the standard fonts have."""
    return words.encode("cp1252", "replace").decode("cp1252")
