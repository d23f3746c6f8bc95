"""The same stream on Dask workers: the walk and the writing stay here, the judging goes out.

Workers need this program, the model at the same path and the archive at the same path. They
are sent chunks of files and send rows back; the one writer is this process, so a worker that
dies costs nothing but its chunk, which Dask gives to another.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO

from brain_cnn.batch.rows import row_of
from brain_cnn.batch.settings import Chunk, JobSettings, with_one_judge
from brain_cnn.batch.stream import Scored, score
from brain_cnn.batch.walk import Item
from brain_cnn.errors import BundleError, ScanError, SettingsError
from brain_cnn.inference.classifier import Classifier, load_classifier

# Chunks under way for each worker: one in work, and the next at hand.
_AHEAD = 2
_LOOK_S = 20  # after this wait for a chunk the workers are counted
_PATIENCE = "20s"  # for a scheduler to answer

_models: dict[tuple[Any, ...], Classifier] = {}
_loading = threading.Lock()


def score_on_cluster(
    settings: JobSettings, fingerprint: str, chunks: Iterator[Chunk], progress: TextIO | None
) -> Iterator[tuple[int, list[Scored]]]:
    """Yield chunks as they are finished, in any order; their numbers give the order.

    Raises:
        SettingsError: Dask is not installed, or no scheduler answers.
        BundleError: a worker has another model.
    """
    try:
        from distributed import KilledWorker
    except ImportError as error:
        raise SettingsError(
            "no-dask",
            "--workers and --cluster need Dask distributed, which is not installed.",
            "Install requirements-cluster.txt, or leave them out.",
        ) from error
    client, cluster = _connect(settings)
    try:
        print(f"Dask dashboard: {client.dashboard_link}", file=progress or sys.stderr, flush=True)
        at_once = _AHEAD * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        work = _Work(settings, fingerprint, chunks, client)
        while work.fill(at_once):
            future = _first_done(list(work.running), client, cluster, settings.workers)
            chunk = work.running.pop(future)
            failure = future.exception() if future.status == "error" else None
            if failure is None:
                scored = future.result()
            elif not isinstance(failure, KilledWorker):
                raise failure
            elif work.try_again(chunk):
                continue
            else:
                scored = [_killed(chunk.items[0], settings)]
            future.release()
            whole = work.whole(chunk, scored)
            if whole is not None:
                yield chunk.number, whole
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


class _Work:
    """The chunks that are under way, and those that are tried again since a worker died.

    Attributes:
        running: future -> its chunk.
    """

    def __init__(
        self, settings: JobSettings, fingerprint: str, chunks: Iterator[Chunk], client: Any
    ) -> None:
        self._settings, self._fingerprint = settings, fingerprint
        self._chunks, self._client = chunks, client
        self.running: dict[Any, Chunk] = {}
        self._suspects: deque[Chunk] = deque()
        self._halves: dict[int, _Halves] = {}

    def fill(self, at_once: int) -> bool:
        """Keep the workers busy; a suspect runs alone, so that it takes nobody along.

        Returns:
            Whether anything is under way.
        """
        while not self._suspects and len(self.running) < at_once:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._submit(chunk)
        if self._suspects and not self.running:
            self._submit(self._suspects.popleft())
        return bool(self.running)

    def _submit(self, chunk: Chunk) -> None:
        order = -chunk.number
        args = (self._settings, self._fingerprint, chunk.items)
        future = self._client.submit(judge_chunk, *args, pure=False, priority=order)
        self.running[future] = chunk

    def try_again(self, chunk: Chunk) -> bool:
        """Send a chunk out again, with which a worker died; False where it is one file alone."""
        if not chunk.suspect:
            # Perhaps a neighbour ended the worker: once more, and alone.
            self._suspects.append(replace(chunk, suspect=True))
            return True
        if len(chunk.items) == 1:
            return False
        self._halves.setdefault(chunk.number, _Halves(chunk.items))
        middle = len(chunk.items) // 2
        for items in (chunk.items[:middle], chunk.items[middle:]):
            self._suspects.append(Chunk(chunk.number, items, suspect=True))
        return True

    def whole(self, chunk: Chunk, scored: list[Scored]) -> list[Scored] | None:
        """Take what came of a chunk or a piece of one; return the chunk where it is whole."""
        halves = self._halves.get(chunk.number)
        if halves is None:
            return scored
        together = halves.add(chunk.items, scored)
        if together is not None:
            del self._halves[chunk.number]
        return together


def _first_done(futures: list[Any], client: Any, cluster: Any, workers: int) -> Any:
    """Wait for one of the chunks. Where our own workers are all gone for good, start others."""
    from distributed import wait

    while True:
        try:
            return wait(futures, timeout=_LOOK_S, return_when="FIRST_COMPLETED").done.pop()
        except TimeoutError:
            if cluster is not None and not client.scheduler_info(n_workers=-1)["workers"]:
                # Dask gives a worker up that dies while it starts.
                cluster.scale(0)
                cluster.scale(workers)


class _Halves:
    """Collects what came of the pieces of a chunk, until the chunk is whole again."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self._places = {item.path: place for place, item in enumerate(items)}
        self._scored: dict[int, Scored] = {}

    def add(self, items: tuple[Item, ...], scored: list[Scored]) -> list[Scored] | None:
        """Take a piece; return the chunk where this was the last."""
        for item, one in zip(items, scored, strict=True):
            self._scored[self._places[item.path]] = one
        if len(self._scored) < len(self._places):
            return None
        return [self._scored[place] for place in sorted(self._scored)]


def judge_chunk(settings: JobSettings, fingerprint: str, items: tuple[Item, ...]) -> list[Scored]:
    """Score a chunk on a worker, which loads the model once.

    Raises:
        BundleError: this worker's model is another than that of the job.
    """
    model = _model(settings)
    if model.bundle.fingerprint != fingerprint:
        raise BundleError(
            "other-model",
            "A worker has another model than the program that sent it files.",
            "Give all workers the same model folder.",
        )
    return list(score(model, items, with_one_judge(settings.score)))


def _model(settings: JobSettings) -> Classifier:
    key = (settings.model, settings.engine, settings.coverage)
    with _loading:
        if key not in _models:
            _models[key] = load_classifier(*key, threads=1)
        return _models[key]


def _killed(item: Item, settings: JobSettings) -> Scored:
    error = ScanError(
        "killed-worker",
        "Reading this file ended the process that read it, again and again.",
        "Look at it apart from the others.",
    )
    return Scored(row_of(item, error, _model(settings).bundle))


def _connect(settings: JobSettings) -> tuple[Any, Any]:
    from distributed import Client, LocalCluster

    if settings.cluster:
        try:
            return Client(settings.cluster, timeout=_PATIENCE), None
        except (OSError, ValueError) as error:
            raise SettingsError(
                "no-cluster",
                f"No Dask scheduler answers at {settings.cluster}.",
                "Start one with: dask scheduler, and workers with: dask worker ADDRESS.",
            ) from error
    cluster = LocalCluster(
        n_workers=settings.workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )
    return Client(cluster), cluster
