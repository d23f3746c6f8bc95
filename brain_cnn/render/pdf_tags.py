"""What a screen reader needs of a PDF: which part is a heading, a table cell, a picture.

ReportLab draws but does not tag. Here each thing that is drawn is wrapped in a marked-content
sequence, and the tree of them is hung into the document (ISO 32000-1, 14.7 and 14.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reportlab.pdfbase.pdfdoc import (
    PDFArray,
    PDFDictionary,
    PDFName,
    PDFString,
)
from reportlab.pdfgen.canvas import Canvas


@dataclass
class _Element:
    role: str
    alt: str = ""
    scope: str = ""
    mark: int | None = None  # of its marked content; None for a group
    children: list[_Element] = field(default_factory=list)


class Tags:
    """The structure of a document of one page.

    Everything is read in the order in which it is drawn.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._open = [_Element("Document")]
        self._marks = 0

    @contextmanager
    def group(self, role: str) -> Iterator[None]:
        """Put what is drawn inside into one element ("Table", "TR", "L")."""
        element = _Element(role)
        self._open[-1].children.append(element)
        self._open.append(element)
        yield
        self._open.pop()

    @contextmanager
    def content(self, role: str, *, alt: str = "", scope: str = "") -> Iterator[None]:
        """Mark what is drawn inside as one element with content.

        Args:
            role: "H1", "H2", "P", "TH", "TD", "LI", "Figure", "Caption".
            alt: what stands for a picture.
            scope: "Row" or "Column", of a "TH".
        """
        self._open[-1].children.append(_Element(role, alt, scope, self._marks))
        self._canvas.addLiteral(f"/{role} <</MCID {self._marks}>> BDC")
        self._marks += 1
        yield
        self._canvas.addLiteral("EMC")

    @contextmanager
    def decoration(self) -> Iterator[None]:
        """Mark what is drawn inside as nothing to read: lines, bars, shades."""
        self._canvas.addLiteral("/Artifact BMC")
        yield
        self._canvas.addLiteral("EMC")

    def finish(self) -> None:
        """End the page and hang the tree into the document; `canvas.save()` comes next."""
        # ReportLab has no other way to the document, and its types do not name it.
        document: Any = self._canvas._doc  # type: ignore[attr-defined]
        page_reference = document.thisPageRef()
        self._canvas.showPage()
        marked: dict[int, Any] = {}

        def build(element: _Element, parent: Any) -> Any:
            entries: dict[str, Any] = {
                "Type": PDFName("StructElem"),
                "S": PDFName(element.role),
                "P": parent,
            }
            if element.alt:
                entries["Alt"] = PDFString(element.alt)
            if element.scope:
                entries["A"] = PDFDictionary(
                    {"O": PDFName("Table"), "Scope": PDFName(element.scope)}
                )
            record = PDFDictionary(entries)
            reference = document.Reference(record)
            if element.mark is not None:
                record.dict["Pg"] = page_reference
                record.dict["K"] = element.mark
                marked[element.mark] = reference
            else:
                record.dict["K"] = PDFArray([build(child, reference) for child in element.children])
            return reference

        root = PDFDictionary({"Type": PDFName("StructTreeRoot")})
        root_reference = document.Reference(root)
        root.dict["K"] = build(self._open[0], root_reference)
        by_mark = PDFArray([marked[mark] for mark in range(self._marks)])
        numbers = PDFArray([0, document.Reference(by_mark)])
        root.dict["ParentTree"] = document.Reference(PDFDictionary({"Nums": numbers}))
        root.dict["ParentTreeNextKey"] = 1
        document.Catalog.StructTreeRoot = root_reference
        document.Catalog.MarkInfo = PDFDictionary({"Marked": "true"})
        # The page says under which number of the ParentTree its marks are found. ReportLab
        # writes only the keys that it lists, so the list of this page is made longer.
        page = document.idToObject[page_reference.name]
        page.__NoDefault__ = [*page.__NoDefault__, "StructParents", "Tabs"]
        page.StructParents, page.Tabs = 0, PDFName("S")
