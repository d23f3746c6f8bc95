"""The data report counts what is there, and the fingerprint depends on the pixels alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_helpers import data_set_files, image_bytes, picture, write_files, write_zip
from realdata import REAL_DATA, ZIP_NAME, needs_real_data

from brain_cnn.dataset.copies import find_copies
from brain_cnn.dataset.fingerprint import pixel_fingerprint, recognise_release
from brain_cnn.dataset.index import ImageRecord, index_images
from brain_cnn.dataset.locate import locate_data
from brain_cnn.dataset.report import data_report
from brain_cnn.dataset.splits import Split
from brain_cnn.labels import LABELS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "inspect_data.py"


def _release(train: tuple[int, ...], test: tuple[int, ...]) -> list[ImageRecord]:
    return [
        ImageRecord(f"{part}/{label}/{number}.jpg", label, part)
        for part, counts in (("train", train), ("test", test))
        for label, count in zip(LABELS, counts, strict=True)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("train", "test", "name"),
    [
        ((1321, 1339, 1595, 1457), (300, 306, 405, 300), "kaggle-7023"),
        ((1321, 1339, 1591, 1457), (300, 306, 405, 300), "kaggle-7019"),
        ((1400,) * 4, (400,) * 4, "kaggle-7200"),
        ((1321, 1339, 1595, 1456), (300, 306, 405, 300), "other"),
        ((1400,) * 4, (0,) * 4, "other"),
        ((1,) * 4, (1,) * 4, "other"),
    ],
)
def test_releases_are_recognised_by_their_counts(
    train: tuple[int, ...], test: tuple[int, ...], name: str
) -> None:
    found, words = recognise_release(_release(train, test))
    assert found == name
    if name != "other":
        assert name.split("-")[1] in words


def test_the_fingerprint_is_of_the_pixels_and_not_of_their_order() -> None:
    images = [picture(seed, 48) for seed in range(4)]
    known = pixel_fingerprint(images)
    assert len(known) == 64
    assert pixel_fingerprint(images[::-1]) == known
    changed = [images[0].copy(), *images[1:]]
    changed[0][5, 5] ^= 1
    assert pixel_fingerprint(changed) != known
    assert pixel_fingerprint(images[:3]) != known
    assert pixel_fingerprint([*images, images[0]]) != known
    assert pixel_fingerprint([images[0].reshape(24, 96), *images[1:]]) != known


def _example() -> tuple[list[ImageRecord], list[np.ndarray]]:
    """Training: a, a again, a mirrored, b (glioma), b again as pituitary. Testing: a, c, d."""
    a, b, c, d = (picture(seed, 120) for seed in range(4))
    rows = [
        ("Testing/glioma/1.png", "glioma", "test", a),
        ("Testing/notumor/2.png", "notumor", "test", c),
        ("Testing/notumor/3.png", "notumor", "test", d),
        ("Training/glioma/1.png", "glioma", "train", a),
        ("Training/glioma/2.png", "glioma", "train", a.copy()),
        ("Training/glioma/3.png", "glioma", "train", np.ascontiguousarray(a[:, ::-1])),
        ("Training/glioma/4.png", "glioma", "train", b),
        ("Training/pituitary/5.png", "pituitary", "train", b.copy()),
    ]
    return [ImageRecord(*row[:3]) for row in rows], [row[3] for row in rows]


def test_the_report_counts_copies_conflicts_and_leakage() -> None:
    records, images = _example()
    split = Split(
        "official",
        np.array([3, 4, 5, 6]),
        np.array([7]),
        np.array([0, 1, 2]),
        np.arange(8),
        True,
        "Made for a test.",
    )
    unreadable = [("Training/glioma/9.png", "The file is empty.")]
    found = data_report(records, images, unreadable, find_copies(images), split)
    assert found.contents.release == "other"
    assert found.contents.counts["train"] == {
        "glioma": 4, "meningioma": 0, "notumor": 0, "pituitary": 1,
    }  # fmt: skip
    assert found.split.split_counts["val"]["pituitary"] == 1
    assert found.copies.distinct_pictures == 4
    assert found.copies.exact_copies == {"inside Training": 2, "inside Testing": 0, "across": 1}
    assert found.copies.copies == {"inside Training": 3, "inside Testing": 0, "across": 1}
    assert found.copies.label_conflicts == [["Training/glioma/4.png", "Training/pituitary/5.png"]]
    assert (found.split.leaked, found.split.test_size, found.split.leaked_into_val) == (1, 3, 1)
    assert found.split.leakage == pytest.approx(1 / 3)
    for said in (
        "Training/glioma/9.png: The file is empty.",
        "Training/glioma/4.png = Training/pituitary/5.png",
        "1 of 3 test images (33.3%)",
        "Made for a test.",
        found.contents.fingerprint,
    ):
        assert said in found.text
    back = json.loads(json.dumps(found.as_dict()))
    assert back["leaked"] == 1
    assert back["unreadable"] == [["Training/glioma/9.png", "The file is empty."]]


def test_a_long_list_is_cut_in_the_text_and_whole_in_the_json() -> None:
    records, images = _example()
    parts = (np.array([3]), np.array([4]), np.array([0]))
    split = Split("official", *parts, np.arange(8), True, "Made for a test.")
    unreadable = [(f"{n}.png", "damaged") for n in range(30)]
    found = data_report(records, images, unreadable, find_copies(images), split)
    assert "... and 20 more" in found.text
    assert len(found.as_dict()["unreadable"]) == 30


def _run(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cache,  # from anywhere
        env={"BRAIN_CNN_CACHE": str(cache), "PATH": "/usr/bin:/bin"},
    )


def test_the_script_reports_a_zip(tmp_path: Path) -> None:
    files = data_set_files(6)
    files["Testing/glioma/copy.png"] = files["Training/glioma/0.png"]
    source = str(write_zip(tmp_path / "data.zip", files))
    done = _run("--data", source, "--split", "official", "--json", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["copies"]["across"] == 1
    assert found["split_name"] == "official"
    done = _run("--data", source, cache=tmp_path)
    assert "Leakage: 0 of" in done.stdout


def test_the_script_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    write_files(tmp_path / "data", {"Training/cat/a.png": image_bytes(picture(1, 48))})
    done = _run("--data", str(tmp_path / "data"), cache=tmp_path)
    assert done.returncode == 2
    assert "Training/cat" in done.stderr
    assert "Traceback" not in done.stderr


@needs_real_data
def test_the_real_zip_is_recognised() -> None:
    assert REAL_DATA is not None
    records = index_images(locate_data(str(REAL_DATA / ZIP_NAME)))
    assert len(records) == 7019
    assert recognise_release(records)[0] == "kaggle-7019"
