"""Files that are read together: each is in one place, a refused one costs the others nothing."""

import itertools

import numpy as np
import pytest
from conftest import encode
from scanfiles import dicom
from test_scan_archive import archive, picture

from brain_cnn.scan import ScanLimits, read_files


def square(side, grey=None):
    return encode(np.full((side, side), side if grey is None else grey, np.uint8))


def five_and_two():
    """Return a ZIP with a series of five slices, which is over the limit of 4, and one of two."""
    pictures = {f"a{n}.png": picture(n) for n in range(5)}
    return archive(pictures | {f"b{n}.png": square(50, n) for n in range(2)})


def test_file_with_a_good_and_a_bad_series_is_answered_and_says_what_is_missing():
    (good,), problems = read_files([five_and_two()], limits=ScanLimits(max_slices=4))
    assert problems == {} and len(good.scan.slices) == 2
    assert "5 slices; the limit is 4" in good.scan.notes[-1]


def test_file_of_the_bad_series_alone_is_a_problem_and_every_file_is_in_one_place():
    files = [five_and_two(), *(dicom(InstanceNumber=n) for n in range(6)), picture(9), b"junk"]
    series, problems = read_files(files, limits=ScanLimits(max_slices=4))
    read = {source for one in series for source in one.sources}
    assert read == {0, 7} and set(problems) == {1, 2, 3, 4, 5, 6, 8}
    assert [problems[place].code for place in (1, 8)] == ["too-many-slices", "not-an-image"]
    assert not any("could not be read" in note for note in series[1].scan.notes)


@pytest.mark.parametrize("sides", list(itertools.permutations((90, 60, 30))))
def test_refused_file_takes_no_budget_from_the_others(sides):
    """8,100 + 3,600 pixels are over 10,000: one of those two is refused, and never the third."""
    series, problems = read_files(
        [square(side) for side in sides], limits=ScanLimits(max_study_pixels=10_000)
    )
    refused = [sides[place] for place in problems]
    assert refused == [next(side for side in reversed(sides) if side != 30)]
    assert sorted(len(one.scan.slices[0].pixels) for one in series) == sorted(
        set(sides) - set(refused)
    )
    (error,) = problems.values()
    assert error.status == 413 and "pixels with this file" in error.message


def test_file_over_the_budget_alone_says_its_own_size():
    series, problems = read_files(
        [square(60), square(101), square(30)], limits=ScanLimits(max_study_pixels=10_000)
    )
    assert len(series) == 2 and "10,201 pixels" in problems[1].message
