"""Synthetic heads: a pure function of the seed, true to its class, weighting and anatomy."""

import gzip
import zipfile
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from synthetic_helpers import drawn_head, drawn_labels

from brain_cnn.dataset.synthetic.anatomy import push_away
from brain_cnn.dataset.synthetic.glioma import grow_glioma
from brain_cnn.dataset.synthetic.greys import draw_greys
from brain_cnn.dataset.synthetic.heads import HELD_OUT, head_from_labels, load_heads, split_heads
from brain_cnn.dataset.synthetic.make import make_slice
from brain_cnn.dataset.synthetic.meningioma import grow_meningioma
from brain_cnn.dataset.synthetic.planes import draw_slice
from brain_cnn.dataset.synthetic.settings import SIDE, SyntheticSettings
from brain_cnn.dataset.synthetic.shapes import depth_of, travel_time
from brain_cnn.dataset.synthetic.tissues import INDEX, INTRACRANIAL, TISSUES, WEIGHTINGS
from brain_cnn.errors import DatasetError, SettingsError
from brain_cnn.labels import LABELS, NOTUMOR


@pytest.fixture(scope="module")
def heads():
    return [drawn_head("01"), drawn_head("02", shift=4)]


def only(label, **changes):
    return SyntheticSettings(classes={name: float(name == label) for name in LABELS}, **changes)


def test_same_seed_gives_the_same_slice(heads):
    one, again, other = (make_slice(heads, seed, SyntheticSettings()) for seed in (5, 5, 6))
    assert np.array_equal(one.pixels, again.pixels)
    assert np.array_equal(one.mask, again.mask)
    assert not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("label", LABELS)
def test_every_class_comes_with_its_mask(heads, label):
    for seed in range(3):
        one = make_slice(heads, seed, only(label))
        assert one.label == label
        assert one.pixels.shape == one.mask.shape == (SIDE, SIDE)
        assert one.pixels.dtype == one.mask.dtype == np.uint8
        assert one.mask.any() == (label != NOTUMOR)
        assert set(np.unique(one.mask)) <= {0, 255}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_weighting_can_be_asked_for(heads, weighting):
    one = make_slice(heads, 1, only("glioma", weightings={weighting: 1.0}))
    assert one.weighting == weighting
    assert one.pixels.std() > 5


def test_fluid_is_dark_in_t1_and_flair_and_bright_in_t2():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fluid, white = INDEX["ventricle"], INDEX["white"]
        for weighting, brighter in (("t1", False), ("flair", False), ("t2", True)):
            mean = draw_greys(weighting, NOTUMOR, rng).mean
            assert (mean[fluid] > mean[white]) == brighter, weighting


def test_greys_of_a_glioma_show_in_t2_and_flair():
    for seed in range(50):
        for weighting in ("t2", "flair"):
            mean = draw_greys(weighting, "glioma", np.random.default_rng(seed)).mean
            assert mean[INDEX["low"]] > mean[INDEX["white"]]


def axial(heads, seed):
    return draw_slice(heads[0], "axial", np.random.default_rng(seed))


def test_glioma_lies_inside_the_brain(heads):
    for seed in range(12):
        one = axial(heads, seed)
        lesion = grow_glioma(one.tissues, SyntheticSettings(), np.random.default_rng(seed))
        assert lesion is not None
        assert INTRACRANIAL[lesion.tissues][lesion.mask].all()


def test_infiltrating_glioma_spares_the_fluid(heads):
    settings = SyntheticSettings(infiltrating=1.0)
    for seed in range(8):
        lesion = grow_glioma(axial(heads, seed).tissues, settings, np.random.default_rng(seed))
        assert lesion is not None
        assert not np.isin(lesion.tissues[lesion.mask], [INDEX["csf"], INDEX["ventricle"]]).any()


def test_meningioma_touches_dura_falx_or_ventricle(heads):
    at_skull = 0
    for seed in range(16):
        lesion = grow_meningioma(axial(heads, seed).tissues, np.random.default_rng(seed))
        if lesion is not None and lesion.mask.any():
            at_skull += depth_of(INTRACRANIAL[lesion.tissues])[lesion.mask].min() < 6
    assert at_skull >= 8  # the others sit on the falx, or in a ventricle


def test_pituitary_tumour_lies_at_the_sella(heads):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        one = draw_slice(heads[0], "sagittal", rng, through_sella=True)
        assert one.sella_mm < 15
        made = make_slice(heads, seed, only("pituitary"))
        rows, columns = np.nonzero(made.mask)
        assert abs(columns.mean() - SIDE / 2) < SIDE / 4
        assert rows.size > 20


def test_mass_effect_leaves_skull_and_air_in_place(heads):
    tissues = axial(heads, 3).tissues
    pushed = push_away(tissues, (224.0, 224.0), 40.0, 0.6)
    outside = ~INTRACRANIAL[tissues]
    assert np.array_equal(pushed[outside], tissues[outside])
    assert INTRACRANIAL[pushed[~outside]].all()
    assert not np.array_equal(pushed, tissues)


def test_travel_time_goes_round_what_is_slow():
    cost = np.ones((120, 120), np.float32)
    cost[:, 58:62] = 50.0
    times = travel_time(cost, (60.0, 20.0), 100.0)
    assert times[60, 40] == pytest.approx(20, abs=6)
    assert times[60, 90] > 150


def test_heads_kept_apart_are_never_trained_on():
    names = ["01", *HELD_OUT, "20"]
    heads = [replace(drawn_head(), name=name) for name in names]
    train, kept = split_heads(heads)
    assert [head.name for head in train] == ["01", "20"]
    assert [head.name for head in kept] == list(HELD_OUT)


def test_label_maps_are_read_from_zip_and_folder(tmp_path):
    image = nibabel.Nifti1Image(drawn_labels(), np.eye(4))
    data = gzip.compress(image.to_bytes())
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "07.nii.gz").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("maps/07.nii.gz", data)
    for source in (tmp_path / "maps", tmp_path / "maps.zip"):
        (head,) = load_heads(source)
        assert head.name == "07"
        assert head.tissues.max() < len(TISSUES)


def test_what_is_no_head_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="empty"):
        head_from_labels("x", np.zeros((5, 5, 5), np.int16))
    with pytest.raises(DatasetError, match="chiasm"):
        head_from_labels("x", np.full((5, 5, 5), 2, np.int16))
    with pytest.raises(DatasetError, match=r"no \.nii\.gz"):
        load_heads(tmp_path)


def test_shares_that_do_not_sum_to_one_are_refused():
    with pytest.raises(SettingsError):
        SyntheticSettings(weightings={"t1": 0.5})
    with pytest.raises(SettingsError):
        SyntheticSettings(classes={"glioma": 1.0})
