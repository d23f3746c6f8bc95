"""Make the real sample of the start page again: one slice of the MNI152 template.

    pip download --no-deps nilearn
    python scripts/make_samples.py nilearn-*.whl

The wheel of nilearn ships the template (1 mm, skull stripped, the average of 152 healthy
heads). Its notice stands in NOTICE and must stay there. The other samples are drawn by code
while the server runs and need no file.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brain_cnn.errors import BrainCnnError, ScanError
from brain_cnn.render.overlay import encode_png
from brain_cnn.scan import read_scan

TEMPLATE = "mni_icbm152_t1_tal_nlin_sym_09a"
SLICE_MM = 13
"""Height above the anterior commissure: through the lateral ventricles."""
LOWEST_MM = -72
"""Height of the template's lowest slice; its slices are 1 mm apart."""
TARGET = Path(__file__).resolve().parent.parent / "static" / "samples" / "mni152.png"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 2 on an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="nilearn's wheel, or the template as .nii.gz")
    parser.add_argument("--out", type=Path, default=TARGET, help="default: the one that is shown")
    args = parser.parse_args(arguments)
    try:
        picture = template_slice(template_bytes(args.source))
    except (OSError, zipfile.BadZipFile, BrainCnnError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(picture)
    print(f"Written: {args.out.name}, {len(picture):,} bytes.")
    return 0


def template_bytes(source: Path) -> bytes:
    """Return the template's gzipped NIfTI, taken out of a wheel where `source` is one.

    Raises:
        ScanError: the wheel holds no such template.
    """
    if source.suffix != ".whl":
        return source.read_bytes()
    with zipfile.ZipFile(source) as wheel:
        for name in wheel.namelist():
            if Path(name).name.startswith(TEMPLATE) and name.endswith(".nii.gz"):
                return wheel.read(name)
    raise ScanError(
        "no-template",
        f"There is no {TEMPLATE}*.nii.gz in {source.name}.",
        "Download another version of nilearn; 0.14 has it.",
    )


def template_slice(data: bytes) -> bytes:
    """Return the PNG of one axial slice, read and turned as every upload is."""
    slices = read_scan(data, plane="axial").slices
    return encode_png(slices[SLICE_MM - LOWEST_MM].pixels)


if __name__ == "__main__":
    sys.exit(main())
