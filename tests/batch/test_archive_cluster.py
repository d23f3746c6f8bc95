"""The same scoring on Dask workers: one row a file, also when workers die."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT, encode

from brain_cnn.batch import JobSettings, cluster, read_rows, run_job
from brain_cnn.errors import SettingsError
from brain_cnn.phantoms import draw_phantom

distributed = pytest.importorskip(
    "distributed", reason="Dask distributed is not installed (requirements-cluster.txt)"
)
FILES = 160


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    pictures = [encode(draw_phantom("glioma", seed)) for seed in range(4)]
    for place in range(FILES):
        (root / f"{place:03d}.png").write_bytes(pictures[place % 4])
    return root


def workers_of(process):
    """Return the process ids of the Dask workers below a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.search(r"PPid:\s+(\d+)", (entry / "status").read_text())[1])
            if parent == process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, TypeError):  # it has just ended
            continue
    return found


def test_killed_worker_costs_no_row_and_makes_none_twice(archive, confident_bundle, tmp_path):
    out = tmp_path / "out"
    script = str(ROOT / "scripts" / "predict.py")
    command = [sys.executable, script, str(archive), "--out", str(out),
               "--model", str(confident_bundle), "--part-files", "4", "--workers", "2"]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while len(list(out.glob("part-*"))) < 3:
        assert time.monotonic() < deadline and running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    workers = workers_of(running)
    assert len(workers) >= 2, "the workers are processes of their own"
    os.kill(workers[0], signal.SIGKILL)
    written = len(list(out.glob("part-*")))
    said = running.communicate(timeout=300)[1]
    assert running.returncode == 0, said
    assert "Dask dashboard: http://127.0.0.1" in said
    assert written < FILES // 4, "it was killed while there was work"
    paths = [row["path"] for row in read_rows(out)]
    assert paths == sorted(f"{place:03d}.png" for place in range(FILES)), "and in order"


def end_or_judge(settings, fingerprint, items):
    """Stand for a file that ends whatever process reads it; the others are judged."""
    if any(item.path == "005.png" for item in items):
        os._exit(1)
    return cluster_judge(settings, fingerprint, items)


cluster_judge = cluster.judge_chunk


def test_file_that_ends_its_process_is_found_and_has_its_row(
    archive, confident_bundle, tmp_path, monkeypatch
):
    import dask

    root = tmp_path / "few"
    root.mkdir()
    for name in ("004.png", "005.png", "006.png"):
        (root / name).write_bytes((archive / name).read_bytes())
    monkeypatch.setattr(cluster, "judge_chunk", end_or_judge)
    settings = JobSettings(root, tmp_path / "out", confident_bundle, form="jsonl", workers=1)
    # One death is forgiven: on a busy machine Dask ends a worker that answers too late, and the
    # file that it held by chance is not to blame.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        result = run_job(settings, None)
    assert (result.files, result.errors) == (3, 1)
    codes = Counter((row["path"], row["error_code"]) for row in read_rows(tmp_path / "out"))
    assert codes == {
        ("004.png", None): 1, ("005.png", "killed-worker"): 1, ("006.png", None): 1,
    }  # fmt: skip


def test_scheduler_somewhere_else_does_the_same(archive, confident_bundle, tmp_path):
    root = tmp_path / "few"
    root.mkdir()
    for place in range(5):
        (root / f"{place}.png").write_bytes((archive / "000.png").read_bytes())
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0"
    ) as other:
        settings = JobSettings(
            root, tmp_path / "out", confident_bundle, form="jsonl",
            cluster=other.scheduler_address, part_files=2,
        )  # fmt: skip
        assert run_job(settings, None).files == 5
    assert [row["path"] for row in read_rows(tmp_path / "out")] == [f"{n}.png" for n in range(5)]


def test_no_scheduler_is_said_in_a_sentence(archive, confident_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", "1s")
    settings = JobSettings(
        archive, tmp_path / "out", confident_bundle, form="jsonl", cluster="tcp://127.0.0.1:9"
    )
    with pytest.raises(SettingsError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9\."):
        run_job(settings, None)
