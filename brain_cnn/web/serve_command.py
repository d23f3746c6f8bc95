"""`brain-cnn serve`: gunicorn with our settings, from a checkout or an installed package."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from brain_cnn.inference.bundle import MODEL_ENV
from brain_cnn.labels import DISCLAIMER
from brain_cnn.resources import resource
from brain_cnn.web.settings import PREFIX


def main(argv: Sequence[str] | None = None) -> int:
    """Become the server; return only when it cannot be started.

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    options = _parse(argv)
    if options.bind is not None:
        os.environ[PREFIX + "BIND"] = options.bind
    if options.model is not None:
        os.environ[MODEL_ENV] = str(options.model)
    # The weights are read once a slice: in large pages they are found faster. The C library
    # reads this when a program starts, so a new one takes our place, with our process id: what
    # supervises us sends its signals to gunicorn itself.
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    config = str(resource("gunicorn.conf.py"))
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "--config", config])  # noqa: S606
    return 1  # execv returns only where a test has put another in its place


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the web app and the HTTP API. " + DISCLAIMER,
        epilog=f"Every setting is a variable {PREFIX}*, listed in the documentation.",
    )
    add = parser.add_argument
    add("--bind", metavar="HOST:PORT", help="where to listen (default: 127.0.0.1:8000)")
    add("--model", type=Path, help="model folder (default: the shipped one)")
    return parser.parse_args(argv)
