"""An archive of any size: every file exactly one row, however the scoring was stopped."""

import gzip
import itertools
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encode
from scanfiles import dicom, nifti

from brain_cnn.archive_scoring import (
    JobSettings,
    ScoreSettings,
    read_rows,
    run_job,
    score,
    walk,
)
from brain_cnn.archive_scoring.formats import read_table
from brain_cnn.archive_scoring.progress import Progress
from brain_cnn.archive_scoring.rows import SLICE_COLUMNS
from brain_cnn.archive_scoring.walk import Item, key_of
from brain_cnn.errors import SettingsError
from brain_cnn.labels import DISCLAIMER, LABELS
from brain_cnn.phantoms import draw_phantom


@pytest.fixture(scope="module")
def pictures():
    """Return six files of drawn slices."""
    kinds = itertools.product(("glioma", "notumor"), (1, 2, 3))
    return [encode(draw_phantom(label, seed)) for label, seed in kinds]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, pictures):
    """Return a folder with pictures, a volume, ZIPs, and what hospitals leave lying about."""
    root = tmp_path_factory.mktemp("archive")
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "c.png").write_bytes(pictures[0])
    for place in range(70):
        (root / "b" / f"{place}.png").write_bytes(pictures[place % 6])
    volume = np.stack([draw_phantom("notumor", 4).astype(np.int16)] * 30, axis=2)
    (root / "b" / "deep" / "volume.nii.gz").write_bytes(gzip.compress(nifti(volume)))
    deep = draw_phantom("glioma", 1).astype(np.uint16)
    (root / "ct.dcm").write_bytes(dicom(deep, Modality="CT"))
    (root / "=cmd,x").write_bytes(b"junk")
    (root / "empty").write_bytes(b"")
    (root / "cut.zip").write_bytes(b"PK\3\4" + bytes(60))
    os.mkfifo(root / "pipe")  # never opened: it would wait for ever
    inner = root / "inner.zip"
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("a.png", pictures[0])
    with zipfile.ZipFile(root / "b.zip", "w") as packed:
        for place in range(40):
            packed.writestr(f"s/{place}.png", pictures[place % 6])
        packed.writestr("s/LICENSE", b"words")
        packed.writestr("__MACOSX/x", b"x")
        packed.write(inner, "inner.zip")
    inner.unlink()
    return root


WRONG = {
    "=cmd,x": "not-an-image",
    "b.zip/inner.zip": "nested-archive",
    "b.zip/s/LICENSE": "not-an-image",
    "ct.dcm": "not-mri",
    "cut.zip": "damaged-archive",
    "empty": "empty-file",
}
FILES = 70 + 1 + 40 + len(WRONG)


def job(archive, out, model, **options):
    form = options.pop("form", "jsonl")
    return JobSettings(
        archive, out, model, form=form, part_files=options.pop("part_files", 16), **options
    )


def rows_of(out):
    return {row["path"]: row for row in read_rows(out)}


def check_complete(out, archive):
    """Every file has exactly one row."""
    counted = Counter(row["path"] for row in read_rows(out))
    assert counted == Counter(item.path for item in walk(archive))
    assert len(counted) == FILES and set(counted.values()) == {1}
    assert not list(out.glob("*.part"))


@pytest.fixture(scope="module")
def scored(archive, confident_bundle, tmp_path_factory):
    """Return the results of an undisturbed run."""
    out = tmp_path_factory.mktemp("scored")
    run_job(job(archive, out, confident_bundle), None)
    return out


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


def test_second_run_judges_nothing_and_knows_the_count(scored, archive, confident_bundle):
    before = {path: path.stat().st_mtime_ns for path in scored.glob("part-*")}
    result = run_job(job(archive, scored, confident_bundle), None)
    assert (result.files, result.errors, result.scored) == (FILES, len(WRONG), 0)
    assert {path: path.stat().st_mtime_ns for path in scored.glob("part-*")} == before


def test_file_that_came_later_gets_its_row_and_no_other_is_judged_again(
    archive, confident_bundle, pictures, tmp_path
):
    out = tmp_path / "out"
    run_job(job(archive, out, confident_bundle), None)
    new = archive / "b" / "33-new.png"
    new.write_bytes(pictures[0])
    try:
        assert run_job(job(archive, out, confident_bundle), None).scored == 1
        counted = Counter(row["path"] for row in read_rows(out))
        assert counted["b/33-new.png"] == 1 and set(counted.values()) == {1}
        assert run_job(job(archive, out, confident_bundle), None).scored == 0
    finally:
        new.unlink()


def test_lost_part_is_made_again_in_its_place(scored, archive, confident_bundle, tmp_path):
    out = tmp_path / "out"
    run_job(job(archive, out, confident_bundle), None)
    (out / "part-000002.jsonl").unlink()
    (out / "part-000003.jsonl").rename(out / "part-000003.jsonl.part")  # killed while writing
    assert run_job(job(archive, out, confident_bundle), None).scored == 32
    check_complete(out, archive)
    assert [r["path"] for r in read_rows(out)] == [r["path"] for r in read_rows(scored)]


def command(archive, out, model, *flags):
    script = str(ROOT / "scripts" / "predict.py")
    return [sys.executable, script, str(archive), "--out", str(out), "--model", str(model),
            "--part-files", "4", "--format", "jsonl", *flags]  # fmt: skip


def start(*arguments):
    return subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)


def wait_for_parts(out, count, process):
    deadline = time.monotonic() + 120
    while len(list(out.glob("part-*.jsonl"))) < count:
        assert time.monotonic() < deadline and process.poll() is None, process.stderr.read()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)]
)
def test_stopped_run_goes_on_without_losing_or_repeating_a_row(
    archive, confident_bundle, tmp_path, how, status
):
    out = tmp_path / "out"
    running = start(archive, out, confident_bundle)
    wait_for_parts(out, 3, running)
    running.send_signal(how)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == status and "Traceback" not in said
    written = {row["path"] for row in read_rows(out)}
    assert 12 <= len(written) < FILES
    kept = {path: path.read_bytes() for path in out.glob("part-*.jsonl")}
    again = subprocess.run(command(archive, out, confident_bundle), capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    check_complete(out, archive)
    assert all(path.read_bytes() == data for path, data in kept.items()), "nothing is judged twice"
    assert f"{FILES - len(written)} files" in again.stdout


def test_folder_of_other_results_is_refused(scored, archive, confident_bundle, tmp_path):
    with pytest.raises(SettingsError, match="plane 'axial', this run has 'sagittal'"):
        run_job(job(archive, scored, confident_bundle, score=ScoreSettings(plane="sagittal")), None)
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(SettingsError, match="no results of a scoring"):
        run_job(job(archive, tmp_path, confident_bundle), None)
    with pytest.raises(SettingsError, match="There is no"):
        run_job(job(archive / "nothing", tmp_path / "new", confident_bundle), None)


def test_two_runs_do_not_write_to_one_folder(archive, confident_bundle, tmp_path):
    out = tmp_path / "out"
    running = start(archive, out, confident_bundle)
    wait_for_parts(out, 1, running)
    with pytest.raises(SettingsError, match="Another run"):
        run_job(job(archive, out, confident_bundle), None)
    assert running.wait(120) == 1


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--json"], 2, "--format"),
        (["--part-files", "0"], 2, "--part-files is 0"),
        (["--workers", "1", "--cluster", "tcp://127.0.0.1:1"], 2, "Give one of them"),
        (["--coverage", "2"], 2, "coverage"),
        (["--model", "nowhere"], 3, "no model folder"),
    ],
)
def test_wrong_use_is_answered_in_a_sentence(archive, tmp_path, flags, status, words):
    script = str(ROOT / "scripts" / "predict.py")
    arguments = [sys.executable, script, str(archive), "--out", str(tmp_path / "out"), *flags]
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode == status and words in result.stderr
    assert "Traceback" not in result.stderr


def test_options_of_an_archive_need_its_folder(archive):
    script = str(ROOT / "scripts" / "predict.py")
    result = subprocess.run(
        [sys.executable, script, str(archive), "--workers", "2"], capture_output=True, text=True
    )
    assert result.returncode == 2 and "--workers needs --out" in result.stderr


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


def test_results_inside_the_archive_are_not_judged(tmp_path, pictures, confident_bundle):
    (tmp_path / "a.png").write_bytes(pictures[0])
    for _ in range(2):
        assert run_job(job(tmp_path, tmp_path / "out", confident_bundle), None).files == 1


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
