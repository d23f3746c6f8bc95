"""Measure what a model can be trusted with: `--help` lists the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.evaluation.measure_command import main

if __name__ == "__main__":
    sys.exit(main())
