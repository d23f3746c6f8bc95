"""Pointing game and energy ratio on cases that can be counted by hand."""

import numpy as np
import pytest

from brain_cnn.evaluation.localisation import energy_ratio, pointing_hit, summarise_localisation


def square_mask(side=100):
    mask = np.zeros((side, side), np.uint8)
    mask[40:50, 40:50] = 255
    return mask


def peak_at(row, column, side=100):
    heat = np.zeros((side, side), np.float32)
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize(
    ("row", "column", "hit"),
    [
        (45, 45, True),
        (38, 45, True),  # two pixels above the first row of the mask
        (37, 45, False),
        (45, 51, True),
        (45, 52, False),
        (38, 38, False),  # two pixels on both axes are 2.8 of distance
        (0, 0, False),
    ],
)
def test_peak_within_two_pixels_is_a_hit(row, column, hit):
    assert pointing_hit(peak_at(row, column), square_mask()) is hit


@pytest.mark.parametrize(("row", "hit"), [(30, True), (29, False)])
def test_tolerance_grows_with_the_picture(row, hit):
    # 2 % of 500 pixels are 10.
    assert pointing_hit(peak_at(row, 45, 500), square_mask(500)) is hit


def test_an_empty_map_misses_and_has_no_energy():
    empty = np.zeros((100, 100), np.float32)
    assert pointing_hit(empty, square_mask()) is False
    assert energy_ratio(empty, square_mask()) == 0.0


def test_energy_ratio_of_hand_made_maps():
    mask = square_mask()  # 1 % of the area
    assert energy_ratio(np.ones((100, 100), np.float32), mask) == pytest.approx(1.0)
    assert energy_ratio(mask / 255.0, mask) == pytest.approx(100.0)
    half = mask / 255.0
    half[0:10, 0:10] = 1
    assert energy_ratio(half, mask) == pytest.approx(50.0)


def test_the_scale_of_the_heat_does_not_matter():
    heat = np.random.default_rng(0).random((100, 100)).astype(np.float32)
    assert energy_ratio(heat * 7, square_mask()) == pytest.approx(
        energy_ratio(heat, square_mask()), rel=1e-5
    )


@pytest.mark.parametrize("measure", [pointing_hit, energy_ratio])
@pytest.mark.parametrize(
    ("heat", "mask"),
    [
        (np.ones((10, 10)), np.ones((10, 11))),
        (np.ones((10, 10)), np.zeros((10, 10))),
        (-np.ones((10, 10)), np.ones((10, 10))),
        (np.full((10, 10), np.nan), np.ones((10, 10))),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, heat, mask):
    with pytest.raises(ValueError):
        measure(heat, mask)


def test_summary_averages_over_slices_with_intervals_over_groups():
    maps = [peak_at(45, 45)] * 6 + [peak_at(0, 0)] * 2 + [np.zeros((100, 100))] * 2
    result = summarise_localisation(maps, [square_mask()] * 10, [i // 2 for i in range(10)])
    assert result["n"] == 10
    assert result["groups"] == 5
    assert result["pointing"]["value"] == 0.6
    assert result["empty"]["value"] == 0.2
    assert result["energy_ratio"]["value"] == pytest.approx(60.0)
    assert result["pointing"]["low"] < 0.6 < result["pointing"]["high"]
