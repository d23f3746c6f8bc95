"""`brain-cnn COMMAND ...`: one way in for whoever serves, judges files, trains or measures.

Each command is a module with `main(argv) -> exit status`, imported when it is called: to judge
a file needs no web framework, to serve needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from brain_cnn import __version__
from brain_cnn.labels import DISCLAIMER


class Command(NamedTuple):
    """One command: the module that does it, what it does, and the extra it needs."""

    module: str
    summary: str
    extra: str = ""


COMMANDS: dict[str, Command] = {
    "serve": Command("brain_cnn.web.serve_command", "run the web app and the HTTP API"),
    "predict": Command("brain_cnn.batch.predict_command", "judge files, folders and archives"),
    "train": Command("brain_cnn.training.train_command", "train from a data set", "train"),
    "calibrate": Command(
        "brain_cnn.training.calibrate_command", "fit a model's calibration again", "train"
    ),
    "evaluate": Command(
        "brain_cnn.evaluation.evaluate_command", "test a model on labelled slices", "train"
    ),
    "measure": Command(
        "brain_cnn.evaluation.measure_command", "measure what a model can be trusted with", "train"
    ),
    "inspect": Command(
        "brain_cnn.evaluation.inspect_command", "report what is in a data set", "train"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command and its options; None takes those of the process.

    Returns:
        The exit status of the command: 0 it is done, 2 wrong use or a refused input; others are
        in the command's `--help`.
    """
    options = _parser().parse_args(argv)
    command = COMMANDS[options.command]
    # The usage line names what the person typed.
    sys.argv = [f"brain-cnn {options.command}", *options.arguments]
    # Before NumPy is loaded, so that its threads are never started: the products of a slice are
    # too small to be shared.
    if options.command == "predict":
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        module = import_module(command.module)
        return int(module.main(options.arguments))
    except ModuleNotFoundError as error:
        if not command.extra or (error.name or "").startswith("brain_cnn"):
            raise
        print(
            f"brain-cnn {options.command}: the package {error.name} is missing. "
            f"Install it with: pip install 'brain-cnn[{command.extra}]'",
            file=sys.stderr,
        )
        return 2


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="brain-cnn",
        usage="brain-cnn [--version] COMMAND ...",
        description="A brain MRI slice in; tumour class, confidence and Grad-CAM out.",
        epilog="\n".join(
            ["commands:", *lines, "", "brain-cnn COMMAND --help lists its options.", DISCLAIMER]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"brain-cnn {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
