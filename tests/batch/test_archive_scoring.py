"""An archive of any size: every file has exactly one row, and it says what `classify` says."""

import itertools
import os
import zipfile
from pathlib import Path

import pytest
from archive_files import (
    FILES,
    WRONG,
    check_complete,
    job,
    rows_of,
)

from brain_cnn.batch import ScoreSettings, read_rows, run_job, score, walk
from brain_cnn.batch.formats import read_table
from brain_cnn.batch.progress import Progress
from brain_cnn.batch.rows import SLICE_COLUMNS
from brain_cnn.batch.walk import Item, key_of
from brain_cnn.labels import DISCLAIMER, LABELS


def test_walk_meets_every_file_once_in_a_fixed_order(archive):
    paths = [item.path for item in walk(archive)]
    assert len(paths) == FILES == len(set(paths)) and paths == sorted(paths, key=key_of)
    assert not any("hidden" in path or "MACOSX" in path or "pipe" in path for path in paths)


def test_every_file_has_one_row_and_each_failure_its_code(scored, archive):
    check_complete(scored, archive)
    rows = rows_of(scored)
    assert {p: r["error_code"] for p, r in rows.items() if r["error_code"]} == WRONG
    assert all(rows[path]["error"].strip() and rows[path]["label"] is None for path in WRONG)
    assert all(row["disclaimer"] == DISCLAIMER for row in rows.values())


def test_rows_say_what_the_classifier_says(scored, archive, confident):
    rows = rows_of(scored)
    for path in ("b/3.png", "b/deep/volume.nii.gz"):
        study = confident.classify_study((archive / path).read_bytes())
        row = rows[path]
        assert [row[f"p_{n}"] for n in LABELS] == pytest.approx(
            [study.probabilities[n] for n in LABELS], abs=1e-5
        )
        assert (row["verdict"], row["label"], row["slices"], row["strongest_slice"]) == (
            study.verdict, study.label, len(study.slices), study.strongest,
        )  # fmt: skip
    with zipfile.ZipFile(archive / "b.zip") as packed:
        study = confident.classify_study(packed.read("s/4.png"))
    assert rows["b.zip/s/4.png"]["confidence"] == pytest.approx(study.confidence, abs=1e-5)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_formats_hold_the_same_rows(scored, archive, confident_bundle, tmp_path, form):
    run_job(job(archive, tmp_path, confident_bundle, form=form), None)
    check_complete(tmp_path, archive)
    names = [path.stem for path in sorted(scored.glob("part-*"))]
    assert [path.stem for path in sorted(tmp_path.glob("part-*"))] == names
    for ours, theirs in zip(read_rows(tmp_path), read_rows(scored), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            approximate = isinstance(value, float)
            assert value == (pytest.approx(theirs[name], abs=1e-6) if approximate else theirs[name])


def test_csv_has_no_cell_that_a_spreadsheet_runs(archive, confident_bundle, tmp_path):
    run_job(job(archive, tmp_path, confident_bundle, form="csv"), None)
    assert '"./=cmd,x"' in (tmp_path / "part-000000.csv").read_text()
    assert "=cmd,x" in rows_of(tmp_path)


def test_slices_have_a_table_of_their_own(archive, confident_bundle, confident, tmp_path):
    run_job(job(archive, tmp_path, confident_bundle, score=ScoreSettings(slices=True)), None)
    tables = sorted(tmp_path.glob("slices-*.jsonl"))
    rows = [row for table in tables for row in read_table(table, SLICE_COLUMNS)]
    volume = [row for row in rows if row["path"] == "b/deep/volume.nii.gz"]
    assert [row["slice_index"] for row in volume] == list(range(30))
    assert len(rows) == 70 + 40 + 30
    study = confident.classify_study((archive / "b/deep/volume.nii.gz").read_bytes())
    assert [row["position_mm"] for row in volume] == list(study.positions_mm)


def test_one_file_or_one_zip_is_an_archive_too(archive, confident_bundle, tmp_path):
    result = run_job(job(archive / "b.zip", tmp_path / "zip", confident_bundle), None)
    assert (result.files, result.errors) == (42, 2)
    assert (
        run_job(job(archive / "b" / "1.png", tmp_path / "one", confident_bundle), None).files == 1
    )


def test_stream_draws_only_a_little_ahead(archive, confident):
    drawn = 0

    def endless():
        nonlocal drawn
        first = Item("b/1.png", str(archive / "b" / "1.png"))
        junk = Item("=cmd,x", str(archive / "=cmd,x"))
        for place in itertools.count():
            drawn += 1
            # One picture among much junk must not wait for 31 more.
            yield first if place % 1000 == 0 else junk

    taken = list(itertools.islice(score(confident, endless(), ScoreSettings()), 1200))
    assert len(taken) == 1200 and drawn < 2500
    assert taken[1000].row["label"] and taken[999].row["error_code"] == "not-an-image"


def test_name_that_is_no_text_has_its_row(tmp_path, pictures, confident_bundle):
    root = tmp_path / "root"
    root.mkdir()
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.png"))).write_bytes(pictures[0])
    for form in ("jsonl", "parquet", "csv"):
        run_job(job(root, tmp_path / form, confident_bundle, form=form), None)
        assert list(rows_of(tmp_path / form)) == ["\\xff\\xfe.png"]
        assert run_job(job(root, tmp_path / form, confident_bundle, form=form), None).scored == 0


def test_member_that_cannot_be_unpacked_has_its_row(tmp_path, pictures, confident_bundle):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("lzma.png", pictures[0])
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb", bytes(100_000_000))
        packed.writestr("same.png", pictures[0])
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("same.png", pictures[1])
    locked = (
        (tmp_path / "b.zip").read_bytes().replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
    )
    (tmp_path / "locked.zip").write_bytes(locked)
    out = tmp_path / "out"
    run_job(job(tmp_path, out, confident_bundle), None)
    codes = {path: row["error_code"] for path, row in rows_of(out).items()}
    assert codes["b.zip/bomb"] == "file-too-large" and codes["b.zip/same.png"] is None
    assert codes["b.zip/same.png#2"] is None and codes["locked.zip/same.png"] == "encrypted-archive"
    assert codes["a.zip/lzma.png"] is None, "a ZIP on the disk may be packed as it likes"
    assert len(codes) == 7


def test_progress_tells_rate_and_time_left():
    progress = Progress(lambda: range(1000), None, before=200)
    progress.add(files=100, slices=300, errors=2)
    assert (
        progress.line(10.0)
        == "300 files of more than 300, 2 with an error, 10.0 files/s, 30.0 slices/s"
    )
    progress._count(lambda: range(1000))
    assert progress.line(10.0) == (
        "[######..............] 300 of 1,000 files (30%), 2 with an error, 10.0 files/s, "
        "30.0 slices/s, 1 min 10 s left"
    )
