"""Fit the calibration of a bundle again, without a training: `--help` lists the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.training.calibrate_command import main

if __name__ == "__main__":
    sys.exit(main())
