"""No group straddles a split, and every split states what it is worth."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from realdata import REAL_DATA, ZIP_NAME, needs_real_data

from brain_cnn.dataset.index import ImageRecord, index_images
from brain_cnn.dataset.locate import locate_data
from brain_cnn.dataset.protocol import COLUMNS as PROTOCOL_COLUMNS
from brain_cnn.dataset.splits import (
    Split,
    grouped_split,
    label_conflicts,
    official_split,
    protocol_split,
)
from brain_cnn.errors import DatasetError
from brain_cnn.labels import LABELS


def _records(per_class: int = 100, test_per_class: int = 20) -> list[ImageRecord]:
    return [
        ImageRecord(f"{folder}/{label}/{number:03d}.png", label, part)
        for folder, part, count in (
            ("Testing", "test", test_per_class),
            ("Training", "train", per_class),
        )
        for label in LABELS
        for number in range(count)
    ]


def _groups(records: list[ImageRecord], size: int = 5) -> np.ndarray:
    """Groups of `size` images of one class, Testing and Training mixed as patients are."""
    seen: Counter[str] = Counter()
    names = []
    for record in records:
        names.append(f"{record.label} {seen[record.label] // size}")
        seen[record.label] += 1
    return np.array(names)


def _shares(split: Split, records: list[ImageRecord], part: str) -> dict[str, float]:
    members = getattr(split, part)
    all_used = np.concatenate([split.train, split.val, split.test])
    total = Counter(records[i].label for i in all_used)
    return {k: v / total[k] for k, v in Counter(records[i].label for i in members).items()}


def _assert_disjoint(split: Split, *, test_too: bool) -> None:
    sets = [set(split.train.tolist()), set(split.val.tolist()), set(split.test.tolist())]
    assert len(sets[0] | sets[1] | sets[2]) == sum(map(len, sets))
    groups = [set(split.groups[list(members)].tolist()) for members in sets]
    assert not groups[0] & groups[1]
    if test_too:
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]


@pytest.mark.parametrize("seed", range(5))
def test_official_keeps_all_of_testing_and_holds_out_whole_groups(seed: int) -> None:
    records = _records()
    split = official_split(records, _groups(records), val_share=0.10, seed=seed)
    assert [records[i].path for i in split.test] == [
        r.path for r in records if r.official_split == "test"
    ]
    assert len(split.train) + len(split.val) == 400
    assert all(records[i].official_split == "train" for i in [*split.train, *split.val])
    _assert_disjoint(split, test_too=False)
    for label in LABELS:
        assert 8 <= sum(records[i].label == label for i in split.val) <= 12


def test_official_is_always_called_leaky() -> None:
    records = _records()
    split = official_split(records, _groups(records))
    assert split.leaky
    assert "leaky" in split.sentence
    copies = np.arange(len(records))
    copies[:8] = np.flatnonzero([r.official_split == "train" for r in records])[:8]
    told = official_split(records, _groups(records), copy_groups=copies)
    assert "8 of its 80 test images (10.0%) have a copy in Training" in told.sentence


def test_class_folders_alone_have_no_official_split() -> None:
    records = [ImageRecord(f"{label}/a.png", label, "") for label in LABELS]
    with pytest.raises(DatasetError, match="no official split") as caught:
        official_split(records, np.arange(4))
    assert "grouped" in caught.value.hint


@pytest.mark.parametrize("seed", range(5))
def test_grouped_parts_share_no_group_and_have_their_shares_per_class(seed: int) -> None:
    records = _records()
    split = grouped_split(records, _groups(records), (0.7, 0.15, 0.15), seed)
    _assert_disjoint(split, test_too=True)
    assert len(split.train) + len(split.val) + len(split.test) == len(records)
    for part, share in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
        for found in _shares(split, records, part).values():
            assert found == pytest.approx(share, abs=0.05)
    assert not split.leaky


def test_one_huge_group_stays_whole() -> None:
    records = _records()
    groups = _groups(records)
    groups[[i for i, r in enumerate(records) if r.label == "glioma"][:60]] = "huge"
    for seed in range(5):
        _assert_disjoint(grouped_split(records, groups, seed=seed), test_too=True)


def test_the_seed_fixes_a_split_and_another_seed_changes_it() -> None:
    records = _records()
    for make in (official_split, grouped_split):
        one, same, other = (make(records, _groups(records), seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(one.val, same.val)
        assert not np.array_equal(one.val, other.val)


def test_grouped_keeps_one_of_each_copy_group_and_drops_conflicts() -> None:
    records = _records()
    copies = np.arange(len(records))
    copies[5] = copies[6] = 4  # the same picture three times
    meningioma = next(i for i, r in enumerate(records) if r.label == "meningioma")
    copies[meningioma] = copies[0]  # one picture under two labels
    split = grouped_split(records, _groups(records), copy_groups=copies)
    used = {*split.train.tolist(), *split.val.tolist(), *split.test.tolist()}
    assert set(range(len(records))) - used == {0, 5, 6, meningioma}
    assert label_conflicts(records, copies) == [[0, meningioma]]


def test_grouped_joins_groups_that_share_a_copy() -> None:
    # An image that is dropped as a copy still ties its patient to the one that is kept.
    records = _records()
    groups = np.arange(len(records))
    copies = np.arange(len(records))
    copies[100:200] = copies[0]
    split = grouped_split(records, groups, copy_groups=copies)
    assert len(set(split.groups[[0, *range(100, 200)]].tolist())) == 1


# --- the protocol's CSV -------------------------------------------------------------------

_ROW = {
    "copy_group": "", "representative": "1", "similarity_group": "", "label_conflict": "0",
    "suspect": "",
}  # fmt: skip


def _protocol(path: Path, changes: dict[int, dict[str, str]] | None = None) -> Path:
    """Write a valid protocol for `_records(6, 0)`: per class 4 train, 1 val, 1 test."""
    rows = []
    for number, record in enumerate(_records(6, 0)):
        part = ("train", "train", "train", "train", "val", "test")[number % 6]
        own = {"copy_group": f"c{number}", "similarity_group": f"s{number}"}
        row = _ROW | own | {"path": record.path, "class": record.label, "protocol_split": part}
        rows.append(row | (changes or {}).get(number, {}))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_protocol_follows_its_column(tmp_path: Path) -> None:
    split = protocol_split(_records(6, 0), _protocol(tmp_path / "p.csv"))
    assert (len(split.train), len(split.val), len(split.test)) == (16, 4, 4)
    assert split.val.tolist() == [4, 10, 16, 22]
    assert split.groups[:2].tolist() == ["s0", "s1"]
    assert not split.leaky
    assert "patient-disjoint" in split.sentence


@pytest.mark.parametrize(
    "change",
    [
        {"protocol_split": ""},
        {"representative": "0"},
        {"label_conflict": "1"},
        {"suspect": "ct"},
    ],
)
def test_protocol_drops_what_it_must_not_use(change: dict[str, str], tmp_path: Path) -> None:
    split = protocol_split(_records(6, 0), _protocol(tmp_path / "p.csv", {0: change}))
    used = {*split.train.tolist(), *split.val.tolist(), *split.test.tolist()}
    assert used == set(range(1, 24))


def test_an_image_that_the_protocol_does_not_know_is_dropped(tmp_path: Path) -> None:
    records = [*_records(6, 0), ImageRecord("Training/glioma/new.png", "glioma", "train")]
    split = protocol_split(records, _protocol(tmp_path / "p.csv"))
    used = {*split.train.tolist(), *split.val.tolist(), *split.test.tolist()}
    assert used == set(range(24))
    assert len(split.groups) == 25


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({0: {"protocol_split": "validation"}}, "protocol-value"),
        ({0: {"class": "meningioma"}}, "protocol-mismatch"),
        ({0: {"similarity_group": "s4"}}, "protocol-straddles"),
        ({0: {"copy_group": "c5"}}, "protocol-straddles"),
        ({n: {"protocol_split": ""} for n in (5, 11, 17, 23)}, "protocol-empty"),
        ({n: {"path": f"elsewhere/{n}.png"} for n in range(24)}, "protocol-empty"),
    ],
)
def test_a_protocol_that_cannot_be_trusted_is_refused(
    changes: dict[int, dict[str, str]], code: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as caught:
        protocol_split(_records(6, 0), _protocol(tmp_path / "p.csv", changes))
    assert caught.value.code == code


def test_a_protocol_without_a_column_names_it(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("path,class\n")
    with pytest.raises(DatasetError, match="protocol_split") as caught:
        protocol_split(_records(6, 0), tmp_path / "p.csv")
    assert all(column in caught.value.hint for column in PROTOCOL_COLUMNS)


def test_a_protocol_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        protocol_split(_records(6, 0), tmp_path / "none.csv")
    assert caught.value.code == "protocol-unreadable"


@needs_real_data
def test_the_real_protocol_has_its_published_counts() -> None:
    assert REAL_DATA is not None
    records = index_images(locate_data(str(REAL_DATA / ZIP_NAME)))
    split = protocol_split(records, REAL_DATA / "provenance.csv")
    _assert_disjoint(split, test_too=True)
    expected = {
        "train": {"glioma": 996, "meningioma": 576, "notumor": 206, "pituitary": 657},
        "val": {"glioma": 215, "meningioma": 126, "notumor": 44, "pituitary": 144},
        "test": {"glioma": 215, "meningioma": 128, "notumor": 44, "pituitary": 143},
    }
    for part, counts in expected.items():
        assert Counter(records[i].label for i in getattr(split, part)) == counts
    assert len(set(split.groups[split.test].tolist())) == 92
    official = official_split(records, split.groups, seed=0)
    assert len(official.test) == 1311
    assert "996 of its 1311 test images (76.0 %)" in official.sentence
    _assert_disjoint(official, test_too=False)
