"""The folder in memory in which all gunicorn processes keep their numbers.

Used by `gunicorn.conf.py`, in the master; it must run before `prometheus_client` is imported,
which looks for the folder then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "brain-cnn-metrics-"


def set_up() -> None:
    """Make the folder, named after this process, and remove those of masters that died."""
    old = os.environ.get(VARIABLE, "")
    if Path(old).name.startswith(f"{_PREFIX}{os.getpid()}-") and Path(old).is_dir():
        return  # the configuration is read again, by SIGHUP
    place = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    if not os.access(place, os.W_OK):
        place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)


def tear_down() -> None:
    """Remove the folder."""
    folder = os.environ.get(VARIABLE, "")
    if Path(folder).name.startswith(f"{_PREFIX}{os.getpid()}-"):
        shutil.rmtree(folder, ignore_errors=True)


def forget_process(pid: int) -> None:
    """Add the files of a process that ended to one file, for `child_exit` of gunicorn.

    Counts must outlive the process. Left as files of their own they would grow in number with
    every replaced worker, and each scrape reads them all.
    """
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    folder = Path(directory)
    with locked(folder):
        for path in folder.glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)
        for kind in ("counter", "histogram"):
            path = folder / f"{kind}_{pid}.db"
            # A process that was killed may have left half a number behind.
            with contextlib.suppress(OSError, RuntimeError, ValueError, struct.error):
                _fold(path, folder / f"{kind}_0.db")
            path.unlink(missing_ok=True)


def _fold(source: Path, target: Path) -> None:
    """Add the numbers of one file to those of another."""
    from prometheus_client.mmap_dict import MmapedDict

    sums = MmapedDict(str(target))
    try:
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(source)):
            before, _ = sums.read_value(key)
            sums.write_value(key, before + value, timestamp)
    finally:
        sums.close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Stop a scrape from reading while files are merged: it would count them twice."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
