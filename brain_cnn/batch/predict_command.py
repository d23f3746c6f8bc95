"""Judge files from the command line.

    brain-cnn predict slice.png more/                 a table
    brain-cnn predict --json slice.png                JSON, as the HTTP API answers
    brain-cnn predict --csv --overlays out/ folder/   CSV, and the overlays as PNG
    brain-cnn predict volume.nii.gz series.zip dicom/  series are judged as a whole
    brain-cnn predict archive/ --out results/         an archive of any size

DICOM files of one series are judged together, in the row of the first of them. Of a series
the row is about the study; `--json` has every slice too. Progress goes to the terminal.

With --out an archive is scored as a stream, in flat memory: every file, and every member of
a ZIP, gets exactly one row in a folder of finished parts. Stopped in whatever way, the same
command goes on and scores nothing twice (docs/scale.md).

Exit status: 0 every file was judged (a refused, unfamiliar picture is an answer too), 1 at
least one file could not be read or is no MRI, 2 wrong use, 3 the model cannot be loaded,
4 the results cannot be written, 130 stopped.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from brain_cnn.errors import BrainCnnError, BundleError, ScanError
from brain_cnn.inference.answer import Answer, SeriesAnswer
from brain_cnn.inference.classifier import Classifier, Progress, load_classifier
from brain_cnn.inference.engines import ENGINES
from brain_cnn.inference.study import StudyDiagnosis
from brain_cnn.labels import DISCLAIMER
from brain_cnn.render.overlay import encode_png, overlay
from brain_cnn.render.prediction_table import as_row, print_table, write_csv
from brain_cnn.scan import PLANES
from brain_cnn.scan.sniff import sniff

_OF_ARCHIVES = ("format", "slices", "workers", "cluster", "readers", "part_files", "quiet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is shown with question marks, and read.
            stream.reconfigure(errors="replace")
    parser = _parser()
    options = parser.parse_args(argv)
    if options.out:
        return score_archive(parser, options)
    alone = [name for name in _OF_ARCHIVES if getattr(options, name) != parser.get_default(name)]
    if alone:
        parser.error(f"--{alone[0].replace('_', '-')} needs --out")
    try:
        model = load_classifier(options.model, options.engine, options.coverage)
    except BrainCnnError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 3
    if options.overlays:
        options.overlays.mkdir(parents=True, exist_ok=True)
    rows = []
    failed = False
    for place, paths in enumerate(group_series(find_files(options.inputs))):
        for path, result, others in judge(model, paths, options):
            failed |= isinstance(result, ScanError)
            if options.overlays and isinstance(result, StudyDiagnosis):
                # Numbered, since two folders may hold files of one name.
                target = options.overlays / f"{place:05d}_{path.stem}_{result.label}.png"
                target.write_bytes(encode_png(overlay(result.most_telling, result.label)))
            rows.append(as_row(path, result, len(paths), others))
    if options.json:
        print(json.dumps({"results": rows, "disclaimer": DISCLAIMER}, indent=2))
    elif options.csv:
        write_csv(rows, sys.stdout)
    else:
        print_table(rows)
    return 1 if failed else 0


def score_archive(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Score an archive into a folder; return the exit status."""
    from brain_cnn.batch import JobSettings, ScoreSettings, run_job
    from brain_cnn.batch.switching import quick_switches

    if len(options.inputs) != 1 or options.json or options.csv or options.overlays:
        parser.error("--out takes one folder, ZIP or file, and --format for what is written")
    settings = JobSettings(
        root=options.inputs[0],
        out=options.out,
        model=options.model,
        engine=options.engine,
        coverage=options.coverage,
        form=options.format,
        score=ScoreSettings(
            force=options.force,
            plane=options.plane,
            slices=options.slices,
            readers=options.readers,
        ),
        part_files=options.part_files,
        workers=options.workers,
        cluster=options.cluster,
    )
    # A scheduler of jobs stops with SIGTERM what a person stops with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with quick_switches():  # this process is ours
            result = run_job(settings, None if options.quiet else sys.stderr)
    except KeyboardInterrupt:
        print("predict: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BundleError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 3
    except BrainCnnError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"predict: the results cannot be written ({error.strerror})", file=sys.stderr)
        return 4
    print(
        f"{result.files:,} files have their row in {options.out}, {result.errors:,} of them with "
        f"an error; {result.scored:,} files ({result.slices:,} slices) were judged just now."
    )
    print(DISCLAIMER)
    return 1 if result.errors else 0


def find_files(inputs: list[Path]) -> Iterator[Path]:
    """Yield the files named, and those in the folders named, sorted; hidden ones are left out."""
    for item in inputs:
        if not item.is_dir():
            yield item
            continue
        for path in sorted(item.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(item).parts)
            if path.is_file() and not hidden:
                yield path


def group_series(paths: Iterable[Path]) -> list[list[Path]]:
    """Put the DICOM files of one series into one list, at the place of the first."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(series_of(path) or f"\n{path}", []).append(path)
    return list(groups.values())


def series_of(path: Path) -> str:
    """Return what the files of one series share, "" for what is no DICOM file."""
    try:
        with path.open("rb") as file:
            if sniff(file.read(4096)) != "DICOM":
                return ""
        from brain_cnn.scan.dicom import series_of as series_of_bytes

        return series_of_bytes(path.read_bytes())
    except OSError:  # said when the file is judged
        return ""


class Row(NamedTuple):
    """The answer for a file or series, or why there is none, and the other series in it."""

    path: Path
    result: StudyDiagnosis | ScanError
    others: Sequence[SeriesAnswer] = ()


def judge(model: Classifier, paths: list[Path], options: argparse.Namespace) -> list[Row]:
    """Judge the files of one series (or one file): a row for the whole, one for each failure."""
    failed: list[Row] = []
    readable: list[Path] = []
    files: list[bytes] = []
    for path in paths:
        try:
            files.append(path.read_bytes())
            readable.append(path)
        except OSError as error:
            sentence = f"The file cannot be opened ({error.strerror})."
            failed.append(Row(path, ScanError("unreadable", sentence)))
    if not files:
        return failed
    answer = model.classify_together(
        files, force=options.force, plane=options.plane, progress=show_progress(readable[0])
    )
    failed += [Row(readable[place], error) for place, error in sorted(answer.problems.items())]
    if not answer.series:
        return failed
    try:
        # Without the problems: they have their own rows.
        part = answer.of_series(Answer(answer.series, {}).main())
        return [Row(readable[0], part.study, part.others), *failed]
    except ScanError as error:
        return [Row(readable[0], error), *failed]


def show_progress(path: Path) -> Progress | None:
    """Return what writes the progress to a terminal; nothing where no person looks."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if total > 1:
            end = "\n" if done == total else ""
            print(f"\r{path.name}: {done} of {total} slices", end=end, file=sys.stderr, flush=True)

    return show


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=DISCLAIMER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE|FOLDER")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="save Grad-CAM overlays")
    parser.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--plane", choices=PLANES, default=PLANES[0], help="of NIfTI volumes")
    parser.add_argument("--force", action="store_true", help="judge a CT and so on too")
    parser.add_argument("--coverage", type=float, default=0.95, help="of the prediction sets")
    add = parser.add_argument_group("an archive of any size").add_argument
    add("--out", type=Path, metavar="DIR", help="folder of the results; the same one goes on")
    add("--format", choices=("parquet", "csv", "jsonl"), default="parquet", help="of the parts")
    add("--slices", action="store_true", help="also write a table with a row for each slice")
    add("--workers", type=int, default=0, help="processes on this machine (Dask)")
    add("--cluster", default="", metavar="tcp://HOST:PORT", help="a Dask scheduler")
    add("--readers", type=int, default=4, help="threads that read; more for a slow storage")
    add("--part-files", type=int, default=512, help="files in one part")
    add("--quiet", action="store_true", help="no progress")
    return parser
