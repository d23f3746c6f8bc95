"""docs/scale.md holds the numbers that were measured, and the benchmark can measure them."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import scale_benchmark

NUMBERS = {
    "slices": 20000, "images": "real slices, repeated", "cores": 2, "processor": "P",
    "model": "m 1", "cost_ms": {"read": 0.1, "decode": 0.4, "prepare": 1.5, "network": 8.0},
    "loop": 50.0, "loop_cpu_ms": 25.0, "loop_one": 55.0, "stream": 120.0, "stream_cpu_ms": 15.0,
    "memory_mib": {"25%": 300, "100%": 310}, "difference": 1e-7,
    "workers": {"1": 100.0, "2": 180.0}, "slow_ms": 20.0, "slow": {"1": 40.0, "16": 110.0},
}  # fmt: skip


def test_document_holds_the_numbers_that_were_measured():
    text = scale_benchmark.DOCUMENT.read_text(encoding="utf-8")
    if not scale_benchmark.JSON.exists():
        pytest.skip("docs/scale.json was not measured yet")
    numbers = json.loads(scale_benchmark.JSON.read_text(encoding="utf-8"))
    assert scale_benchmark.document(text, numbers) == text


def test_core_hours_and_straight_line_follow_from_the_rates():
    text = scale_benchmark.document(
        scale_benchmark.DOCUMENT.read_text(encoding="utf-8"), NUMBERS
    )  # fmt: skip
    assert "**278 core-hours**" in text  # 10^8 / 100 / 3600
    assert "| 2 Dask workers | 180.0 | 3.6 | 90% |" in text
    assert (
        "| stream, one process | 120.0 | 2.40 (2.18 of the one on one core) | |" in text
        and "| network | 8.00 | 80% |" in text
    )
    assert "keeps 1.80 cores busy, and 25.0 ms in the loop, which keeps 1.25." in text


def test_benchmark_measures_what_the_document_says(tmp_path):
    for folder in ("brain_cnn", "scripts", "models", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    command = [sys.executable, "scripts/scale_benchmark.py", "--slices", "400", "--workers"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    numbers = json.loads((tmp_path / "docs" / "scale.json").read_text())
    assert numbers["difference"] < 1e-4 and numbers["stream"] > 0
    assert "Not measured" not in (tmp_path / "docs" / "scale.md").read_text()
    again = subprocess.run([*command[:2], "--check"], cwd=tmp_path)
    assert again.returncode == 0
