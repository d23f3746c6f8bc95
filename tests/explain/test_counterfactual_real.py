"""On real tumours, filling the tumour takes the evidence away, and filling beside it does not."""

import csv
import zipfile

import cv2
import numpy as np
import pytest

from brain_cnn.explain.region_fill import fill_region, head_share
from brain_cnn.scan import Scan, Slice, read_scan
from tests.realdata import REAL_DATA, ZIP_NAME, needs_real_data

MASKS = "masks-trainval.zip"


def tumours(count):
    """Yield (pixels, generous mask, label) of `count` validation slices, evenly chosen."""
    with (REAL_DATA / "provenance.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["protocol_split"] == "val"]
    with (
        zipfile.ZipFile(REAL_DATA / ZIP_NAME) as images,
        zipfile.ZipFile(REAL_DATA / MASKS) as masks,
    ):
        known = set(masks.namelist())
        paths = [r["path"] for r in rows if r["path"][:-4] + ".png" in known]
        for path in paths[:: len(paths) // count][:count]:
            pixels = read_scan(images.read(path)).slices[0].pixels
            mask = cv2.imdecode(np.frombuffer(masks.read(path[:-4] + ".png"), np.uint8), 0)
            hull = cv2.convexHull(np.argwhere(mask > 127)[:, ::-1].astype(np.int32))
            drawn = cv2.fillConvexPoly(np.zeros_like(mask), hull, 1)
            radius = round(3 + 0.2 * np.sqrt(drawn.sum() / np.pi))
            around = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
            yield pixels, cv2.dilate(drawn, around).astype(bool), path.split("/")[1]


def beside(mask, pixels):
    """Return the mask moved to another part of the head; None where there is no room."""
    width = int(np.ptp(np.nonzero(mask)[1])) + 4
    for step in (width, -width):
        moved = np.roll(mask, step, axis=1)
        if not (moved & mask).any() and (pixels[moved] > 20).mean() > 0.95:
            return moved
    return None


@needs_real_data
def test_filling_the_tumour_lowers_its_probability_and_filling_beside_it_does_not(classifier):
    if not (REAL_DATA / MASKS).is_file():
        pytest.skip(f"{MASKS} is not there")
    fell, falls, shams = [], [], []
    for pixels, mask, label in tumours(60):
        if head_share(mask, pixels) > 0.6:
            continue
        pictures = [pixels, fill_region(pixels, mask)]
        elsewhere = beside(mask, pixels)
        if elsewhere is not None:
            pictures.append(fill_region(pixels, elsewhere))
        said = classifier.classify_scan(Scan(tuple(Slice(p) for p in pictures), "PNG"))
        before, *after = (d.probabilities[label] for d in said)
        fell.append(after[0] < before)
        falls.append(before - after[0])
        shams += [before - share for share in after[1:]]
    assert len(fell) >= 50 and len(shams) >= 20
    assert np.mean(fell) > 0.7 and np.mean(falls) > 0.1
    assert np.mean(shams) < np.mean(falls) / 3
    print(f"fell {np.mean(fell):.2f}, mean {np.mean(falls):.3f}, beside {np.mean(shams):.3f}")
