"""Coverage-guided fuzzing of `read_scan` with atheris (libFuzzer).

    python tests/fuzz_atheris.py                  until Ctrl-C
    python tests/fuzz_atheris.py -runs=20000      a number of inputs
    python tests/fuzz_atheris.py FILE             one input again

Python code of the readers and of pydicom, nibabel and Pillow is instrumented, so an input
that reaches a new branch is kept and changed further. It starts from the seeds of
`fuzz_scans.py`, in a folder that is removed at the end. An input passes where it is read or
refused with a `ScanError`, within the seconds and the memory below; one that is not is kept
as `crash-...` in the current folder.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

_CODE = ["brain_cnn.scan", "pydicom.filereader", "pydicom.filebase", "pydicom.dataset",
         "pydicom.encaps", "pydicom.pixels", "pydicom.values", "nibabel.nifti1",
         "PIL.TiffImagePlugin", "PIL.PngImagePlugin", "PIL.GifImagePlugin", "PIL.BmpImagePlugin",
         "PIL.JpegImagePlugin", "zipfile"]  # fmt: skip
SECONDS, MEGABYTES = 30, 2048

with atheris.instrument_imports(include=_CODE, enable_loader_override=False):
    from fuzz_scans import LIMITS, seeds

    from brain_cnn.errors import ScanError
    from brain_cnn.scan import read_scan


def one_input(data: bytes) -> None:
    """Read one input; any other error than a refusal ends the run."""
    try:
        scan = read_scan(data, limits=LIMITS)
    except ScanError:
        return
    assert all(s.pixels.ndim == 2 for s in scan.slices)


def main() -> None:
    """Run libFuzzer with its own options."""
    warnings.simplefilter("ignore")  # Pillow's, of every second input
    with tempfile.TemporaryDirectory() as corpus:
        # libFuzzer looks at the peak, and on Linux a process begins with that of its parent.
        begun_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={begun_mb + MEGABYTES}"]
        arguments = [sys.argv[0], *limits]
        arguments += sys.argv[1:]
        if all(argument.startswith("-") for argument in sys.argv[1:]):
            for place, data in enumerate(seeds()):
                (Path(corpus) / f"seed-{place:02d}").write_bytes(data)
            arguments.append(corpus)
        atheris.Setup(arguments, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
