"""Killed workers, crowds and slow clients: every answer is right, or says that there is none.

`scripts/fault_test.py` does the same at full size and measures it.
"""

import sys

import pytest
from conftest import ROOT, Server

sys.path.insert(0, str(ROOT / "scripts"))

import fault_test


@pytest.fixture(scope="module")
def target(confident_bundle, tmp_path_factory):
    running = Server(
        tmp_path_factory.mktemp("faults") / "log.txt",
        BRAIN_CNN_MODEL=str(confident_bundle),
        BRAIN_CNN_WORKERS="2",
        BRAIN_CNN_QUEUE_WAITING="8",
    )
    try:
        running.wait_ready()
        yield fault_test.Target(int(running.address.partition(":")[2]), running.process.pid)
    finally:
        running.stop()


@pytest.mark.parametrize("fault", fault_test.FAULTS, ids=lambda fault: fault.__name__)
def test_fault_gives_no_wrong_answer_and_the_server_goes_on(target, fault):
    outcomes = fault(target, True)
    assert set(outcomes) <= fault_test.ALLOWED, outcomes
    assert outcomes[fault_test.RIGHT] > 0
    assert fault_test.seconds_to_right(target) < 30  # how fast is measured, not tested


def test_stop_answers_what_was_accepted(target):
    outcomes = fault_test.master_stopped(target, True)  # the last: it stops the server
    assert set(outcomes) <= fault_test.ALLOWED, outcomes
    assert outcomes[fault_test.RIGHT] > 0


def test_wrong_answer_would_be_seen():
    row = {"fault": "x", "outcomes": {"right": 1, "wrong": 1}}
    assert fault_test.broken_promises([row], 2, 100)
    row = {"fault": "x", "outcomes": {"right": 1, "closed": 5, "503": 2}}
    assert not fault_test.broken_promises([row], 2, 100)
    assert fault_test.broken_promises([row | {"seconds_to_right": 3}], 2, 100)
    assert fault_test.broken_promises([row | {"memory_mib": [100, 300]}], 2, 100)
