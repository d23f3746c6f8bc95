"""Mutated files through `read_scan` and through HTTP, at any scale.

    python tests/fuzz_scans.py --count 50000                 the readers
    python tests/fuzz_scans.py --count 5000 --http           the whole application
    python tests/fuzz_scans.py --seed 123 --count 1          one case again

Every case is a number: the same number always makes the same bytes, from seeds that this file
writes itself (`seeds`). A case passes where the file is read or refused with a `ScanError`, in
time and within memory; over HTTP, where the status is below 500. `make test` runs a few
hundred (`tests/scan/test_fuzz.py`).
"""

from __future__ import annotations

import argparse
import gzip
import io
import resource
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread, uid

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scanfiles import PYDICOM_FILES, dicom, nifti, save

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_scan

LIMITS = ScanLimits(
    max_pixels=1_000_000, max_study_pixels=8_000_000, max_unpacked_bytes=32_000_000, max_seconds=5
)
# Seconds of work: the limit, and what the last step before a look at the clock may take.
SECONDS = LIMITS.max_seconds + 3.0
# pydicom's own small files: the encodings that no encoder here writes.
_SHIPPED = (
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "MR_small_implicit.dcm",
    "test-SR.dcm", "SC_ybr_full_422_uncompressed.dcm", "image_dfl.dcm", "rtdose_rle.dcm",
)  # fmt: skip


def seeds() -> list[bytes]:
    """Return small valid files of every family."""
    rows, columns = np.mgrid[0:48, 0:48]
    gray = ((rows * 5 + columns * 3) % 256).astype(np.uint8)
    rgb = np.stack([gray, gray[::-1], gray.T], axis=2)
    deep = gray.astype(np.uint16) * 200
    files = [_image(rgb, kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")]
    files += [_image(deep, "PNG"), _image(deep, "TIFF"), _image(gray.astype(np.float32), "TIFF")]
    pages = io.BytesIO()
    first = Image.fromarray(gray)
    first.save(pages, "TIFF", save_all=True, append_images=[first, first])
    files.append(pages.getvalue())
    volume = np.stack([gray.astype(np.int16)] * 30, axis=2)
    files += [nifti(volume), gzip.compress(nifti(volume)), nifti(volume.astype(np.float32))]
    plain = dicom(deep)
    files += [plain, dicom(deep, preamble=False), dicom(np.stack([deep] * 3))]
    files += [dicom(deep, syntax=s) for s in (uid.ExplicitVRBigEndian, uid.ImplicitVRLittleEndian)]
    files.append(dicom(deep, syntax=uid.DeflatedExplicitVRLittleEndian))
    for syntax in (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        dataset = dcmread(io.BytesIO(plain))
        dataset.compress(syntax, generate_instance_uid=False)
        files.append(save(dataset))
    files += [(PYDICOM_FILES / name).read_bytes() for name in _SHIPPED]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, data in enumerate((files[0], files[7], plain, files[10])):
            archive.writestr(f"{place}.bin", data)
    return [*files, packed.getvalue()]


def _image(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def mutate(files: list[bytes], case: int) -> bytes:
    """Return the file of a case: bytes changed, cut out, doubled, swapped, or mixed."""
    rng = np.random.default_rng(case)
    data = bytearray(files[case % len(files)])
    for _ in range(int(rng.integers(1, 4))):
        size = len(data)
        if size < 8:
            break
        # Headers decide most: half of the changes fall into the first 600 bytes.
        place = int(rng.integers(0, min(size, 600) if rng.random() < 0.5 else size))
        span = int(rng.integers(1, max(2, min(64, size - place))))
        match int(rng.integers(0, 8)):
            case 0:
                data[place] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data[place : place + span] = rng.integers(0, 256, span, np.uint8).tobytes()
            case 2:  # numbers at their ends
                edge = (
                    b"\xff\xff\xff\xff",
                    b"\0\0\0\0",
                    b"\xff\x7f",
                    b"\0\x80",
                    b"\xff\xff\xff\x7f",
                )
                value = edge[int(rng.integers(0, len(edge)))]
                data[place : place + len(value)] = value
            case 3:
                del data[place : place + span]
            case 4:
                data[place:place] = data[place : place + span]
            case 5:
                del data[int(rng.integers(size // 4, size)) :]
            case 6:
                other = files[int(rng.integers(0, len(files)))]
                start = int(rng.integers(0, len(other)))
                data[place : place + span] = other[start : start + span]
            case 7:
                data[place] = int(rng.integers(0, 256))
    return bytes(data)


def run_readers(first: int, count: int) -> Counter[str]:
    """Send cases through `read_scan`; raise at the first that breaks a promise."""
    files = seeds()
    outcomes: Counter[str] = Counter()
    for case in range(first, first + count):
        start = time.process_time()
        try:
            scan = read_scan(mutate(files, case), limits=LIMITS)
            assert all(s.pixels.ndim == 2 and s.pixels.dtype == np.uint8 for s in scan.slices)
            outcomes["read"] += 1
        except ScanError as error:
            outcomes[error.code] += 1
        except BaseException as error:
            raise AssertionError(f"case {case} broke the reader: {error!r}") from error
        taken = time.process_time() - start
        assert taken < SECONDS, f"case {case} took {taken:.1f} s"
    return outcomes


def run_http(client: object, first: int, count: int) -> Counter[str]:
    """Send cases through a client of the application; raise at the first answer from 500 on."""
    files = seeds()
    outcomes: Counter[str] = Counter()
    for case in range(first, first + count):
        part = (io.BytesIO(mutate(files, case)), "a.bin")
        url = ("/api/v1/predict", "/", "/api/v1/predict?force=1&heatmap=raw")[case // 50 % 3]
        response = client.post(url, data={"file": part})  # type: ignore[attr-defined]
        assert response.status_code < 500, f"case {case} gave {response.status_code}"
        outcomes[str(response.status_code)] += 1
    return outcomes


def memory_mib() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run from the command line and print what became of the cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--http", action="store_true", help="through the application")
    options = parser.parse_args()
    if options.http:
        from conftest import client_of

        from brain_cnn import load_classifier

        outcomes = run_http(client_of(load_classifier(threads=1)), options.seed, options.count)
    else:
        outcomes = run_readers(options.seed, options.count)
    for name, number in outcomes.most_common():
        print(f"{number:8}  {name}")
    print(f"{options.count:8}  cases without a crash; at most {memory_mib():.0f} MiB held")


if __name__ == "__main__":
    main()
