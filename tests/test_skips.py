"""A test that did not run is seen, and fails the run where CI is set."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from tests.realdata import NO_REAL_DATA

TESTS = """
import pytest
def test_runs(): pass
def test_skips(): pytest.skip({reason!r})
"""


def run(folder, reason, **environ):
    (folder / "test_some.py").write_text(TESTS.format(reason=reason))
    cleared = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", "-q", folder],
        cwd=folder,
        env=cleared
        | {"PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}", "CI": ""}
        | {"BRAIN_CNN_DATA": str(folder / "nowhere")}
        | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("reason", "ci", "status", "words"),
    [
        ("no Chromium here", "", 0, "1 skipped, 1 of them for no good reason"),
        ("no Chromium here", "true", 1, "this run has failed"),
        (f"{NO_REAL_DATA}: it is nowhere", "true", 0, "1 skipped, 0 of them for no good reason"),
    ],
)
def test_a_skip_fails_where_ci_is_set_unless_it_must_be(tmp_path, reason, ci, status, words):
    found, said = run(tmp_path, reason, CI=ci)
    assert found == status and words in said, said


def test_real_data_that_is_there_is_no_reason_to_skip(tmp_path):
    (tmp_path / "brain-tumor-mri.zip").touch()
    status, said = run(tmp_path, f"{NO_REAL_DATA}: it is nowhere", CI="1", BRAIN_CNN_DATA=tmp_path)
    assert status == 1 and "it is nowhere" in said
