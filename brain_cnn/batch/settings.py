"""What a job scores, by what, and where to; and the stretches that it is cut into."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from brain_cnn.batch.stream import ScoreSettings
from brain_cnn.batch.walk import Item


@dataclass(frozen=True)
class JobSettings:
    """What is scored, by what, and where to.

    Attributes:
        root: a folder, a ZIP or one file.
        out: folder of the results.
        model: the model folder; None means the shipped one.
        engine: "ncnn", "onnx" or "tensorflow".
        coverage: target coverage of the prediction sets.
        form: "parquet", "csv" or "jsonl".
        score: how files are judged.
        part_files: files in one part; a part also ends at 256 MiB of files.
        workers: Dask worker processes on this machine; 0 judges in this process.
        cluster: address of a Dask scheduler; "" means none.
    """

    root: Path
    out: Path
    model: Path | None = None
    engine: str = "ncnn"
    coverage: float = 0.95
    form: str = "parquet"
    score: ScoreSettings = field(default_factory=ScoreSettings)
    part_files: int = 512
    workers: int = 0
    cluster: str = ""


@dataclass(frozen=True)
class Chunk:
    """A stretch of the walk.

    Attributes:
        number: its place in the walk, from 0.
        items: the files in it that have no row yet.
        suspect: True where a worker died with it.
    """

    number: int
    items: tuple[Item, ...]
    suspect: bool = False


def with_one_judge(settings: ScoreSettings) -> ScoreSettings:
    """Return settings for one worker among several, which has one core."""
    return replace(settings, judges=1)
