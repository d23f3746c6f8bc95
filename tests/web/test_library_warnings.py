"""What libraries warn of reaches the log as its own lines, once each, without content."""

import json
import subprocess
import sys

from conftest import ROOT

CODE = """
import logging, warnings
from brain_cnn.web.runtime.library_warnings import log_library_warnings
from brain_cnn.web.runtime.logs import set_up_logging
set_up_logging("json")
log_library_warnings()
log_library_warnings()
import nibabel
warnings.simplefilter("always")
for number in range(50):
    warnings.warn(f"Corrupt EXIF data of Doe {number}")
    logging.getLogger("PIL.TiffImagePlugin").warning("Doe %d", number)
    logging.getLogger("nibabel.global").warning("Doe %d", number)
    logging.getLogger("PIL.TiffImagePlugin").debug("Doe %d", number)
"""


def test_warnings_of_libraries_are_lines_of_our_log_once_each_without_content():
    result = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    kinds = [line["warning"] for line in lines]
    assert kinds == ["UserWarning", "PIL.TiffImagePlugin", "nibabel.global"]
    assert all(line["level"] == "warning" and line["place"] for line in lines)
    assert "Doe" not in result.stderr and not result.stdout
