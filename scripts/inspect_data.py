"""Print what is in a data set: `--help` lists the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.evaluation.inspect_command import main

if __name__ == "__main__":
    sys.exit(main())
