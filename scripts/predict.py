"""Judge files, folders and archives: `--help` lists the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# By way of the entry point, which sets what must be set before NumPy is loaded.
from brain_cnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
