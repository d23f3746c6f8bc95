"""The parts of `scripts/benchmark.py`; each measures one thing and returns plain values."""
