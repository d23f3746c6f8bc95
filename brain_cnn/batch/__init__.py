"""Score an archive of any size: walk it lazily, judge in batches, write finished parts.

`run_job` is the whole job (`brain-cnn predict ROOT --out results/`); `score` is the stream
in the middle, for one process; `cluster` spreads the same stream over Dask workers.
"""

from brain_cnn.batch.job import JobResult, run_job
from brain_cnn.batch.parts import read_rows
from brain_cnn.batch.settings import JobSettings
from brain_cnn.batch.stream import ScoreSettings, score
from brain_cnn.batch.walk import Item, walk

__all__ = [
    "Item",
    "JobResult",
    "JobSettings",
    "ScoreSettings",
    "read_rows",
    "run_job",
    "score",
    "walk",
]
