"""An archive as hospitals leave it, drawn, and what a scoring of it must come to."""

import gzip
import itertools
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import encode
from scanfiles import dicom, nifti

from brain_cnn.batch import JobSettings, read_rows, run_job, walk
from brain_cnn.phantoms import draw_phantom


def draw_pictures() -> list[bytes]:
    """Return six files of drawn slices."""
    kinds = itertools.product(("glioma", "notumor"), (1, 2, 3))
    return [encode(draw_phantom(label, seed)) for label, seed in kinds]


def make_archive(root: Path) -> Path:
    """Fill a folder with pictures, a volume, ZIPs, and what lies about; return it."""
    pictures = draw_pictures()
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "c.png").write_bytes(pictures[0])
    for place in range(70):
        (root / "b" / f"{place}.png").write_bytes(pictures[place % 6])
    volume = np.stack([draw_phantom("notumor", 4).astype(np.int16)] * 30, axis=2)
    (root / "b" / "deep" / "volume.nii.gz").write_bytes(gzip.compress(nifti(volume)))
    deep = draw_phantom("glioma", 1).astype(np.uint16)
    (root / "ct.dcm").write_bytes(dicom(deep, Modality="CT"))
    (root / "=cmd,x").write_bytes(b"junk")
    (root / "empty").write_bytes(b"")
    (root / "cut.zip").write_bytes(b"PK\3\4" + bytes(60))
    os.mkfifo(root / "pipe")  # never opened: it would wait for ever
    inner = root / "inner.zip"
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("a.png", pictures[0])
    with zipfile.ZipFile(root / "b.zip", "w") as packed:
        for place in range(40):
            packed.writestr(f"s/{place}.png", pictures[place % 6])
        packed.writestr("s/LICENSE", b"words")
        packed.writestr("__MACOSX/x", b"x")
        packed.write(inner, "inner.zip")
    inner.unlink()
    return root


WRONG = {
    "=cmd,x": "not-an-image",
    "b.zip/inner.zip": "nested-archive",
    "b.zip/s/LICENSE": "not-an-image",
    "ct.dcm": "not-mri",
    "cut.zip": "damaged-archive",
    "empty": "empty-file",
}
FILES = 70 + 1 + 40 + len(WRONG)


def job(archive, out, model, **options):
    """Return settings with small parts."""
    form = options.pop("form", "jsonl")
    return JobSettings(
        archive, out, model, form=form, part_files=options.pop("part_files", 16), **options
    )


@pytest.fixture(scope="module")
def pictures():
    """Return six files of drawn slices."""
    return draw_pictures()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return a folder with pictures, a volume, ZIPs, and what hospitals leave lying about."""
    return make_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def scored(archive, confident_bundle, tmp_path_factory):
    """Return the results of an undisturbed run."""
    out = tmp_path_factory.mktemp("scored")
    run_job(job(archive, out, confident_bundle), None)
    return out


def rows_of(out):
    """Return path -> row of a folder of results."""
    return {row["path"]: row for row in read_rows(out)}


def check_complete(out, archive):
    """Every file has exactly one row."""
    counted = Counter(row["path"] for row in read_rows(out))
    assert counted == Counter(item.path for item in walk(archive))
    assert len(counted) == FILES and set(counted.values()) == {1}
    assert not list(out.glob("*.part"))
