"""Requests made from the server's own OpenAPI document, right ones and wrong ones."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("schemathesis")

# A schema cannot say which bytes are a picture of a head; what is none is refused, rightly.
NOT_CHECKED = "positive_data_acceptance"


def test_server_keeps_to_its_own_description(server, tmp_path):
    before = server.log.stat().st_size
    result = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/api/v1/openapi.json",
            "--exclude-checks", NOT_CHECKED, "--max-examples", "12", "--seed", "1",
            "--request-timeout", "60", "--generation-database", "none",
        ],
        cwd=tmp_path,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": str(ROOT / "tests" / "schemathesis_hooks.py"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    log = server.log.read_bytes()[before:].decode()
    for path in ("predict", "counterfactual", "report"):
        statuses = set(re.findall(rf"POST /api/v1/{path} (\d+)", log))
        assert {"200", "400"} <= statuses and not {s for s in statuses if s >= "500"}, path
