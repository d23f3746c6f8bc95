"""Whoever scores an archive as a library keeps the interpreter as it was."""

import sys
import threading

import pytest
from archive_files import job

from brain_cnn.batch import ScoreSettings, run_job, score, walk
from brain_cnn.batch.switching import SWITCH_S, quick_switches


@pytest.fixture(autouse=True)
def interval():
    """Return an interval that is nobody's default; put the interpreter's own back."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0125)
    yield pytest.approx(sys.getswitchinterval(), abs=2e-6)  # the interpreter rounds
    sys.setswitchinterval(before)


@pytest.fixture
def folder(tmp_path, phantom_png):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(3):
        (files / f"{number}.png").write_bytes(phantom_png)
    return files


def test_scoring_as_a_library_leaves_the_interpreter_alone(confident, folder, interval):
    stream = score(confident, walk(folder), ScoreSettings())
    next(stream)
    assert sys.getswitchinterval() == interval, "while files are judged"
    other = score(confident, walk(folder), ScoreSettings())
    next(other)
    stream.close()  # given up, while another one goes on
    assert sys.getswitchinterval() == interval
    list(other)
    assert sys.getswitchinterval() == interval


def test_job_as_a_library_leaves_the_interpreter_alone(
    confident_bundle, folder, tmp_path, interval
):
    seen = []
    run_job(
        job(folder, tmp_path / "out", confident_bundle),
        None,
        lambda _: seen.append(sys.getswitchinterval()),
    )
    assert seen and all(one == interval for one in seen)
    assert sys.getswitchinterval() == interval


def test_last_one_out_restores(interval):
    outer, inner = quick_switches(), quick_switches()
    outer.__enter__()
    inner.__enter__()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    outer.__exit__(None, None, None)  # not in the order of their coming
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    inner.__exit__(None, None, None)
    assert sys.getswitchinterval() == interval


def test_failure_restores(interval):
    with pytest.raises(RuntimeError), quick_switches():
        raise RuntimeError
    assert sys.getswitchinterval() == interval


def test_many_threads_at_once_restore(interval):
    start = threading.Barrier(8)

    def work():
        start.wait(30)
        for _ in range(200):
            with quick_switches():
                assert sys.getswitchinterval() == pytest.approx(SWITCH_S)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sys.getswitchinterval() == interval


def test_faster_setting_is_kept(interval):
    sys.setswitchinterval(SWITCH_S / 2)
    with quick_switches():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S / 2)
