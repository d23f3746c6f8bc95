"""A loaded model leaves the cores to the network, and says how to have it otherwise."""

import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = """
import sys
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from brain_cnn import load_classifier
threadpool_limits(2, user_api="blas")
load_classifier(**({} if sys.argv[1] == "held" else {"blas_threads": None}))
print({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
"""


@pytest.mark.parametrize(("how", "threads"), [("held", "{1}"), ("left", "{2}")])
def test_spinning_blas_threads_do_not_take_the_cores_of_the_network(how, threads):
    # In a process of its own: the limit holds for all of a process.
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == threads
