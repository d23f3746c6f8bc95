"""The score of the data tools shows how good a list is, and a bad list scores badly."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from dataset_helpers import image_bytes, picture, write_files

from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.marks import BOTH, score_marks
from brain_cnn.dataset.protocol import COLUMNS
from brain_cnn.errors import DatasetError

sys.path.insert(0, str(ROOT / "scripts"))
import inspect_data

MARKS = {0: "ct", 1: "ct", 2: "ct", 3: "lesion"}  # 0 and 1 are copies
COUNT = 20


def _protocol(path: Path, paths: list[str], labels: list[str], conflicts=(), marks=MARKS) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "suspect"], restval="")
        writer.writeheader()
        for place, (name, label) in enumerate(zip(paths, labels, strict=True)):
            writer.writerow(
                {
                    "path": name,
                    "class": label,
                    "copy_group": "conflict" if place in conflicts else place,
                    "similarity_group": place,
                    "label_conflict": int(place in conflicts),
                    "suspect": marks.get(place, ""),
                }
            )
    return path


@pytest.fixture
def data(tmp_path):
    """Return 20 records, all but the last ten in notumor, their copy groups and a protocol."""
    labels = ["notumor"] * 10 + ["glioma"] * 5 + ["pituitary"] * 5
    records = [ImageRecord(f"{i}.png", label, "") for i, label in enumerate(labels)]
    groups = np.array([0, 0, *range(2, COUNT)])
    names = [record.path for record in records]
    return records, groups, _protocol(tmp_path / "p.csv", names, labels, conflicts=(14, 15))


def _listed(*places: int, kind: str = "outlier") -> list[dict[str, str]]:
    return [{"path": f"{place}.png", "kind": kind} for place in places]


def test_list_of_what_is_marked_scores_full_and_copies_count_once(data):
    records, groups, protocol = data
    found = score_marks(records, groups, _listed(0, 1, 2, 3), [], protocol)
    assert (found.pictures, found.marks) == (19, {"ct": 2, "lesion": 1})
    assert found.base_rate == pytest.approx(3 / 19)
    assert (found.labels, found.label_rate) == (["notumor"], pytest.approx(3 / 9))
    whole = found.lists[BOTH]
    assert (whole.listed, whole.marked, whole.precision, whole.recall) == (3, 3, 1.0, 1.0)
    assert "precision 100.0% (chance 15.8%, 6x chance), recall 100.0%" in found.text


def test_list_of_what_is_not_marked_scores_nothing(data):
    records, groups, protocol = data
    whole = score_marks(records, groups, _listed(5, 6, 7), [], protocol).lists[BOTH]
    assert (whole.marked, whole.precision, whole.recall) == (0, 0.0, 0.0)


def test_original_of_a_marked_copy_is_no_find(data):
    records, groups, protocol = data
    before = score_marks(records, groups, _listed(2), [], protocol)
    assert before.marks == {"ct": 2, "lesion": 1} and before.lists[BOTH].marked == 1
    rows = protocol.read_text().replace("2.png,notumor,2,,2,0,,ct", "2.png,notumor,2,,2,0,,")
    protocol.write_text(rows)
    groups[3] = 2  # the lesion is a processed copy of 2, which is itself not marked
    found = score_marks(records, groups, _listed(2), [], protocol)
    assert found.marks == {"ct": 1} and found.lists[BOTH].marked == 0


def test_each_kind_of_list_has_its_score_and_both_count_a_picture_once(data):
    records, groups, protocol = data
    suspects = _listed(1, 9, 8, 7) + _listed(0, 3, kind="label")
    lists = score_marks(records, groups, suspects, [], protocol).lists
    assert (lists["outlier"].precision, lists["outlier"].recall) == (1 / 4, 1 / 3)
    assert (lists["label"].precision, lists["label"].by_mark) == (1.0, {"ct": 1, "lesion": 1})
    assert (lists[BOTH].listed, lists[BOTH].marked) == (5, 2)


def test_head_of_the_list_is_scored_apart_and_follows_its_order(data):
    records, groups, protocol = data
    good = _listed(3, *range(4, 14))
    found = score_marks(records, groups, good, [], protocol)
    assert found.lists["outlier"].first == {10: 1} and found.lists[BOTH].first == {}
    assert "1 of the first 10." in found.text
    late = score_marks(records, groups, good[1:] + good[:1], [], protocol)
    assert late.lists["outlier"].first == {10: 0} and late.lists["outlier"].marked == 1


@pytest.mark.parametrize(
    ("conflicts", "found", "more"),
    [
        ([], 0, 0),
        ([["14.png", "15.png"]], 1, 0),
        ([["13.png", "15.png"]], 0, 0),  # not both of its labels
        ([["2.png", "12.png"]], 0, 1),
    ],
)
def test_conflict_counts_where_both_its_labels_were_put_together(data, conflicts, found, more):
    records, groups, protocol = data
    score = score_marks(records, groups, [], conflicts, protocol)
    assert (score.conflicts.conflicts_marked, score.conflicts.conflicts_found) == (1, found)
    assert score.conflicts.conflicts_unmarked == more and score.lists == {}


def test_protocol_that_cannot_score_is_refused_in_a_sentence(data, tmp_path):
    records, groups, protocol = data
    other = [ImageRecord(f"other/{i}.png", "glioma", "") for i in range(COUNT)]
    with pytest.raises(DatasetError, match="knows none of the 20 images"):
        score_marks(other, groups, [], [], protocol)
    bare = tmp_path / "bare.csv"
    bare.write_text(protocol.read_text().replace(",suspect", ",else"))
    with pytest.raises(DatasetError, match="lacks the column suspect"):
        score_marks(records, groups, [], [], bare)


def test_script_finds_the_conflict_by_its_pixels_and_scores_its_own_list(tmp_path, capsys):
    pictures = [picture(seed, 96) for seed in range(12)]
    labels = ["glioma", "notumor", "pituitary", "meningioma"] * 3
    names = [f"{label}/{place}.png" for place, label in enumerate(labels)]
    files = {name: image_bytes(one) for name, one in zip(names, pictures, strict=True)}
    names += ["pituitary/again.png", "notumor/alone.png"]
    labels += ["pituitary", "notumor"]
    # The first picture again, mirrored, under another label.
    files[names[12]] = image_bytes(np.ascontiguousarray(pictures[0][:, ::-1]))
    files[names[13]] = image_bytes(picture(99, 96))
    data = write_files(tmp_path / "data", files)
    protocol = _protocol(tmp_path / "p.csv", names, labels, conflicts=(0, 12), marks={13: "ct"})
    flags = ["--data", str(data), "--protocol", str(protocol), "--score", "--json"]
    assert inspect_data.main(flags) == 0
    score = json.loads(capsys.readouterr().out)["score"]
    assert (score["conflicts_marked"], score["conflicts_found"]) == (1, 1)
    assert score["conflicts_unmarked"] == 0 and score["marks"] == {"ct": 1}
    assert inspect_data.main(flags[:-1]) == 0
    assert "Label conflicts: 1 of 1 marked ones were found" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        inspect_data.main(["--data", str(data), "--score"])
    assert "--score needs --protocol" in capsys.readouterr().err
