"""The shapes of the API's forms and answers, as pydantic models made of `render/fields.py`.

They describe and do not validate: an answer is made of plain values, so that no request pays
for them. Only the OpenAPI document imports this file, and with it pydantic.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from brain_cnn.inference.diagnosis import CONFIDENT, UNCERTAIN, UNFAMILIAR
from brain_cnn.labels import LABELS
from brain_cnn.render import fields
from brain_cnn.render.answer_json import HEATMAPS
from brain_cnn.render.words import VERDICTS
from brain_cnn.scan import PLANES

Schema = dict[str, Any]
TEMPLATE = "#/components/schemas/{model}"


def _about(words: str, **more: Any) -> Any:
    """Return what describes a field: a sentence that begins as one."""
    return Field(description=words[:1].upper() + words[1:].rstrip(".") + ".", **more)


# Made at run time, which a type checker cannot follow: for it they are any type.
Label: Any = Literal[LABELS]
Share = Annotated[float, Field(ge=0, le=1)]
Place = Annotated[int, Field(ge=0)]
Milliseconds = dict[str, Annotated[float, Field(ge=0)]]
Picture = Annotated[str, Field(pattern="^data:image/png;base64,")]


def _per_label(name: str, kind: Any) -> type[BaseModel]:
    """Return an object with a value for each class."""
    shape: dict[str, Any] = dict.fromkeys(LABELS, kind)
    return create_model(name, __doc__="A value for each class.", **shape)


Shares: Any = _per_label("Shares", Share)
Changes: Any = _per_label("Changes", Annotated[float, Field(ge=-1, le=1)])
Grids: Any = _per_label("Grids", list[list[Share]])


class Check(BaseModel):
    """One check of familiarity."""

    check: str
    value: float | None
    limit: float | None
    failed: bool
    sentence: str


_KINDS: dict[str, Any] = {
    "text": str,
    "whole": int,
    "number": float,
    "yes-no": bool,
    "label": Label,
    "verdict": Literal[CONFIDENT, UNCERTAIN, UNFAMILIAR],
    "labels": Annotated[list[Label], Field(min_length=1, json_schema_extra={"uniqueItems": True})],
    "shares": Shares,
    "texts": list[str],
    "wholes": list[Place],
    "pair": Annotated[list[float], Field(min_length=2, max_length=2)],
    "checks": list[Check],
}
_VERDICTS = "; ".join(f"{name} ({words.badge}): {words.when}" for name, words in VERDICTS.items())


def _shape(name: str, about: str, record: fields.Record) -> type[BaseModel]:
    """Return the model of a record of `render/fields.py`."""
    shape: dict[str, Any] = {}
    for field in record:
        kind = _KINDS[field.kind]
        if field.kind in ("number", "whole"):
            kind = Annotated[kind, Field(ge=field.least, le=field.most)]
        meaning = f"{field.meaning}. {_VERDICTS}" if field.kind == "verdict" else field.meaning
        shape[field.name] = (kind | None if field.empty else kind, _about(meaning))
    return create_model(name, __doc__=about, **shape)


Prediction: Any = _shape("Prediction", "The prediction of one slice.", fields.PREDICTION)
Slice: Any = _shape("Slice", "One slice.", fields.SLICE)
Study: Any = _shape("Study", "The answer for a whole series or volume.", fields.STUDY)
Scan: Any = _shape(
    "Scan", "What was read. Of a header only this; nothing of a person.", fields.SCAN
)


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str
    sha256: str


class HeatmapPicture(BaseModel):
    """Grad-CAM of the label over the slice."""

    label: Label
    png: Picture = _about("a data URI")


class Box(BaseModel):
    """Where the grid lies on the slice, in its pixels."""

    top: float
    left: float
    side: float


class HeatmapGrids(BaseModel):
    """Grad-CAM of each class on the network's grid."""

    box: Box
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] = _about(
        "height and width of the slice"
    )
    grids: Grids = _about("heat of each class, by rows")


class OtherSeries(BaseModel):
    """Another series of the same file: its answer, or why there is none."""

    scan: Scan
    study: Study = _about("the answer for it", default=None)
    code: str = _about("why there is no answer for it", default=None)
    detail: str = _about("the same in a sentence", default=None)


class Result(Prediction):  # type: ignore[misc]  # made from the table of fields
    """The answer for one file: its most telling slice, each slice, and its study."""

    slice_index: Place = _about("which slice the fields above are about, from 0")
    slice_count: Annotated[int, Field(ge=1)] = _about("slices of the series")
    notes: list[str] = _about("what a person should know about the reading")
    model: Model
    timing_ms: Milliseconds = _about("milliseconds by stage; total is that of the request")
    disclaimer: str = _about("for research and education only")
    forced: bool = _about("the header says that this is no MRI; it was judged on request")
    scan: Scan
    study: Study | None = _about("null for a single slice")
    slices: Annotated[list[Slice], Field(min_length=1)]
    heatmap: HeatmapPicture | HeatmapGrids = _about("with the parameter heatmap", default=None)
    other_series: list[OtherSeries] = _about("where the file holds several", default=None)


class Problem(BaseModel):
    """RFC 9457."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str = _about("one sentence: what was wrong, with the value")
    code: Annotated[str, Field(pattern="^[a-z0-9-]+$")] = _about("stable name of the cause")
    hint: str = _about("what to do", default=None)
    request_id: str = _about(
        "as in the header X-Request-ID; absent inside a list of results", default=None
    )


class Answer(BaseModel):
    """One result for each file, in upload order."""

    results: Annotated[list[Result | Problem], Field(min_length=1)]


class Counterfactual(BaseModel):
    """The same slice as it is and without a region."""

    slice_index: Place
    region_pixels: Annotated[int, Field(ge=1)]
    region_share: Share = _about("of the head")
    before: Prediction
    after: Prediction
    change: Changes = _about("after minus before")
    filled_png: Picture = _about("the slice as it was judged again, a data URI")
    model: Model
    timing_ms: Milliseconds
    disclaimer: str


Plane: Any = Literal[PLANES]
Heatmap: Any = Literal[("", *HEATMAPS)]
Index = Annotated[int, Field(ge=0, le=999_999)]


class ReadingForm(BaseModel):
    """How the files are read."""

    plane: Plane = _about("which slices of a NIfTI volume are judged", default=PLANES[0])
    force: Literal["0", "1"] = _about("1 judges a scan that its header calls no MRI", default="0")


class CounterfactualForm(ReadingForm):
    """Which slice, and the region that it is judged without."""

    slice_index: Index = _about("which slice of the series, from 0; 0 if left out", default=None)
    series: Index = _about(
        "which series of the upload, from 0; the main one if left out", default=None
    )
    region: str = _about(
        "JSON polygon [[x, y], ...] in pixels of the slice, x to the right, from its top left "
        "corner",
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "array",
                "items": {
                    "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2
                },
                "minItems": 3,
                "maxItems": 1000,
            },
        },
    )  # fmt: skip


class ReportForm(ReadingForm):
    """Which slice, and on which paper."""

    slice_index: Index = _about(
        "which slice is shown, from 0; the most telling one if left out", default=None
    )
    series: Index = _about(
        "which series of the upload, from 0; the main one if left out", default=None
    )
    paper: Literal["a4", "letter"] = _about("paper size", default="a4")


class PredictQuery(BaseModel):
    """What is added to the answer, and its format."""

    heatmap: Heatmap = _about(
        "what is added: png the overlay as a data URI, raw the grid of each class", default=""
    )
    format: Literal["json", "csv"] = _about("of the answer: csv is a table", default="json")


class _Plain(GenerateJsonSchema):
    """Without titles, which repeat the names, and without null for what may be left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


# What a reader looks for; the others follow by name.
_FIRST = ("Answer", "Result", "Study", "Slice", "Scan", "Check", "Problem")


@cache
def components() -> dict[str, Schema]:
    """Return the JSON Schema (2020-12) of every shape of an answer, by its name."""
    _, document = models_json_schema(
        [(Answer, "validation"), (Counterfactual, "validation")],
        ref_template=TEMPLATE,
        schema_generator=_Plain,
    )
    found: dict[str, Schema] = document["$defs"]
    for shape in found.values():
        shape.pop("title", None)
    return {name: found[name] for name in (*_FIRST, *(n for n in found if n not in _FIRST))}


@cache
def form_schema(form: type[BaseModel]) -> Schema:
    """Return the JSON Schema of a form or of the parameters of an address."""
    schema = form.model_json_schema(schema_generator=_Plain)
    schema.pop("title", None)
    return schema
