"""Two instances behind a real proxy: one is killed, and only what was in flight may fail."""

import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from proxy_test import PROXIES, find_proxy


@pytest.mark.parametrize("proxy", PROXIES)
def test_killed_instance_costs_only_what_was_in_flight(proxy):
    if find_proxy(proxy) is None:
        pytest.skip(f"{proxy} is not installed")
    command = [sys.executable, "scripts/proxy_test.py", "--proxy", proxy, "--requests", "30"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 of them not in flight" in result.stdout and result.stdout.endswith("held\n")
