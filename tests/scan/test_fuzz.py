"""A short run of the fuzzing harness; `python tests/fuzz_scans.py` runs it at any scale."""

import importlib.util
import subprocess
import sys

import pytest
from conftest import ROOT, client_of
from fuzz_scans import mutate, run_http, run_readers, seeds

from brain_cnn.errors import ScanError
from brain_cnn.scan import read_scan


def test_every_seed_is_a_file_that_is_read_or_refused_by_name():
    for data in seeds():
        try:
            assert read_scan(data).slices
        except ScanError as error:
            assert error.code in ("not-an-image", "image-too-small")


def test_case_is_the_same_each_time():
    files = seeds()
    assert mutate(files, 77) == mutate(seeds(), 77)


def test_mutated_files_are_read_or_refused():
    outcomes = run_readers(1_000_000, 600)
    assert outcomes["read"] > 50 and len(outcomes) > 5, "the mutations reach the readers"


def test_mutated_files_over_http_never_are_our_fault(confident):
    outcomes = run_http(client_of(confident), 2_000_000, 90)
    assert set(outcomes) > {"200"}


@pytest.mark.parametrize("flags", [[], ["--http"]])
def test_harness_runs_from_the_command_line(flags):
    command = [sys.executable, "tests/fuzz_scans.py", "--count", "3", *flags]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "3  cases without a crash" in result.stdout, result.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed (it has wheels for Linux on x86-64 alone)",
)
def test_guided_fuzzing_finds_new_branches_and_no_fault(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "fuzz_atheris.py"), "-runs=600", "-seed=1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Done 600 runs" in result.stderr and not list(tmp_path.iterdir())
    assert "NEW" in result.stderr, "it is guided: an input that reaches a new branch is kept"
