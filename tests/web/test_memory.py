"""Memory that a large study took goes back to the system."""

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT, Server, upload_to

from brain_cnn.web.runtime.housekeeping import Housekeeping
from brain_cnn.web.runtime.metrics import Metrics
from brain_cnn.web.runtime.queue import EngineQueue

MIB = 1 << 20


def workers_mib(server):
    """Return the memory of the server's workers together, MiB."""
    pids = subprocess.run(
        ["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_large_study_leaves_no_memory_behind(confident_bundle, phantom, tmp_path):
    # Its slices alone are 48 million pixels; before the allocator was bounded, 240 MiB stayed.
    slices = np.kron(phantom, np.ones((4, 4), np.uint8))
    volume = np.stack([slices] * 60, axis=2)
    study = gzip.compress(nib.Nifti1Image(volume, np.eye(4)).to_bytes(), 1)
    server = Server(tmp_path / "log.txt", BRAIN_CNN_MODEL=str(confident_bundle))
    try:
        server.wait_ready()
        before = workers_mib(server)
        upload_to(server.url, study)
        deadline = time.monotonic() + 30
        while (left := workers_mib(server) - before) > 64:
            assert time.monotonic() < deadline, f"{left:.0f} MiB are kept"
            time.sleep(0.2)
    finally:
        server.stop()


class Process:
    """A process whose memory the test sets."""

    def __init__(self):
        self.bytes = 100 * MIB
        self.queue = EngineQueue(slots=1, waiting=0, seconds=1)
        self.trims = 0
        self.keeping = Housekeeping(self.queue, Metrics(), lambda: self.bytes, self.trim)

    def trim(self):
        self.trims += 1
        self.bytes = 110 * MIB

    def look(self):
        self.keeping.look()
        if self.keeping._trimming:
            self.keeping._trimming.join(30)
        return self.trims


def test_memory_is_given_back_at_rest_and_where_it_is_worth_it():
    process = Process()
    slot = process.queue.enter()
    process.bytes = 500 * MIB
    assert process.look() == 0, "a request works: it would take its memory again"
    slot.leave()
    assert process.look() == 1
    process.bytes += 10 * MIB
    assert process.look() == 1, "not for a small picture"


def test_every_way_to_start_bounds_the_allocator():
    configuration = (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")
    assert "\ngive_memory_back()\n" in configuration
    code = "from brain_cnn.web.runtime.memory import give_memory_back; print(give_memory_back())"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str("glibc" in os.confstr("CS_GNU_LIBC_VERSION"))
