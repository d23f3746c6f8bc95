"""A scoring that was stopped, in whatever way, goes on: no row is lost, none is made twice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from archive_files import (
    FILES,
    WRONG,
    check_complete,
    job,
)
from conftest import ROOT, rebuild

from brain_cnn.batch import ScoreSettings, read_rows, run_job
from brain_cnn.errors import SettingsError
from brain_cnn.inference.calibration import Calibration


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
    # A shell that started the tests in the background had Ctrl-C ignored, which is inherited.
    return subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


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
    other = shutil.copytree(confident_bundle, tmp_path / "model")
    rebuild(other, Calibration(2.0, Calibration.identity().set_thresholds))
    with pytest.raises(SettingsError, match="model_fingerprint"):  # the same weights
        run_job(job(archive, scored, other), None)
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(SettingsError, match="no results of this command"):
        run_job(job(archive, tmp_path, confident_bundle), None)
    with pytest.raises(SettingsError, match="There is no"):
        run_job(job(archive / "nothing", tmp_path / "new", confident_bundle), None)


def test_two_runs_do_not_write_to_one_folder(archive, confident_bundle, tmp_path):
    out = tmp_path / "out"
    running = start(archive, out, confident_bundle)
    wait_for_parts(out, 1, running)
    with pytest.raises(SettingsError, match="Another run"):
        run_job(job(archive, out, confident_bundle), None)
    running.communicate(timeout=120)
    assert running.returncode == 1


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


def test_results_inside_the_archive_are_not_judged(tmp_path, pictures, confident_bundle):
    (tmp_path / "a.png").write_bytes(pictures[0])
    for _ in range(2):
        assert run_job(job(tmp_path, tmp_path / "out", confident_bundle), None).files == 1


def test_batches_do_not_each_start_threads_for_the_products_of_numpy():
    pytest.importorskip("threadpoolctl")
    script = (
        "import contextlib, io\n"
        "from brain_cnn.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['predict', '--help'])\n"
        "from threadpoolctl import threadpool_info as found\n"
        "print({one['num_threads'] for one in found() if one['user_api'] == 'blas'})"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.strip() == "{1}"
