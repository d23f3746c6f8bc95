"""Print the data report of a folder, ZIP or link, and of one split of it.

brain-cnn inspect --data brain-tumor-mri.zip --split official
brain-cnn inspect --data brain-tumor-mri.zip --suspects 30
brain-cnn inspect --data brain-tumor-mri.zip --suspects 30 \
    --protocol provenance.csv --score        how good is that list?
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brain_cnn.dataset import copies, index, locate, marks, report, splits
from brain_cnn.errors import BrainCnnError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after a sentence on what is wrong.

    Args:
        argv: the options, without the program's name; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, help="folder, ZIP, https or Google Drive link")
    parser.add_argument("--split", choices=("official", "protocol", "grouped"), default="grouped")
    parser.add_argument("--protocol", type=Path, help="CSV of the protocol split")
    parser.add_argument("--seed", type=int, default=0, help="of the parts that are drawn")
    parser.add_argument("--workers", type=int, default=2, help="threads that read images")
    parser.add_argument(
        "--suspects", type=int, default=0, metavar="N",
        help="also list the N oddest images of each kind, for a person to look at (minutes)",
    )  # fmt: skip
    parser.add_argument(
        "--score", action="store_true",
        help="also score suspects and label conflicts against the marks of --protocol",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    if options.split == "protocol" and options.protocol is None:
        parser.error("--split protocol needs --protocol CSV")
    if options.score and options.protocol is None:
        parser.error("--score needs --protocol CSV")
    try:
        report_of, suspects, score = inspect(options)
    except BrainCnnError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        more: dict[str, Any] = {"suspects": suspects} if options.suspects else {}
        if score is not None:
            more["score"] = score.as_dict()
        print(json.dumps(report_of.as_dict() | more, indent=1))
    else:
        print(report_of.text)
        for one in suspects:
            words = f"looks like {one['looks_like']}" if one["looks_like"] else "no brain MRI?"
            print(f"suspect: {one['path']}  {words}  ({one['kind']} {one['score']:.3f})")
        if score is not None:
            print(score.text)
    return 0


def inspect(
    options: argparse.Namespace,
) -> tuple[report.DataReport, list[dict[str, Any]], marks.MarkScore | None]:
    """Find, read, group and split the data; return report, suspects and score as asked for.

    Raises:
        DatasetError: the data or the protocol cannot be used.
    """
    root = locate.locate_data(options.data)
    everything = index.index_images(root)
    images, unreadable = index.load_images(root, everything, options.workers)
    lost = {path for path, _ in unreadable}
    records = [record for record in everything if record.path not in lost]
    groups = copies.find_copies(images)
    if options.split == "protocol":
        split = splits.protocol_split(records, options.protocol)
    else:
        make = splits.official_split if options.split == "official" else splits.grouped_split
        alike = copies.find_lookalikes(images, groups)
        split = make(records, alike, seed=options.seed, copy_groups=groups)
    found = report.data_report(records, images, unreadable, groups, split)
    suspects = []
    if options.suspects > 0:
        from brain_cnn.evaluation.label_audit import audit_labels

        labels = [record.label for record in records]
        names = [record.path for record in records]
        suspects = audit_labels(images, labels, names, groups, options.suspects)
    score = None
    if options.score:
        score = marks.score_marks(
            records, groups, suspects, found.copies.label_conflicts, options.protocol
        )
    return found, suspects, score
