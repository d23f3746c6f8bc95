"""Pools of made pictures: kept on disk by what they are made of; normals, and tumours in them."""

import gzip

import nibabel
import numpy as np
import pytest
from synthetic_helpers import drawn_head, drawn_volume

from brain_cnn.dataset import pools
from brain_cnn.dataset.batches import PreparedData
from brain_cnn.dataset.normals import HELD_OUT, load_normals, slices_of, split_normals
from brain_cnn.dataset.pools import grafted_pool, normal_pool, synthetic_pool
from brain_cnn.dataset.synthetic.settings import SyntheticSettings
from brain_cnn.dataset.weighting_greys import REPAINTED, repaint
from brain_cnn.errors import DatasetError
from brain_cnn.labels import NOTUMOR, label_index
from brain_cnn.phantoms import draw_phantom
from brain_cnn.preprocess import prepare

SIZE = 96


@pytest.fixture(scope="module")
def normals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("normals")
    image = nibabel.Nifti1Image(drawn_volume(), np.diag([1.0, 1.0, 1.0, 1.0]))
    thick = nibabel.Nifti1Image(drawn_volume()[:, :, ::5], np.diag([1.0, 1.0, 5.0, 1.0]))
    rows = ["file,weighting,mm,source"]
    for name, weighting, one in (
        ("open-ms/patient01_study1_t1.nii.gz", "t1", image),
        ("open-ms/patient04_study1_flair.nii.gz", "flair", thick),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(gzip.compress(one.to_bytes()))
        rows.append(f"{name},{weighting},1,drawn")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return load_normals(folder)


@pytest.fixture(scope="module")
def donors():
    images, labels, masks = [], [], []
    for seed in range(3):
        for label in ("glioma", "meningioma"):
            image = np.rint(prepare(draw_phantom(label, seed), SIZE).tensor[..., 0] * 255)
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[30:48, 30:46] = 255
            image[mask > 0] = 230
            images.append(image.astype(np.uint8))
            labels.append(label_index(label))
            masks.append(mask)
    stack = np.stack(masks)
    return PreparedData(np.stack(images), np.array(labels), stack, np.ones(len(images), bool))


def test_pool_is_made_once_and_found_again(tmp_path, monkeypatch):
    heads = [drawn_head()]
    first = synthetic_pool(heads, 6, SyntheticSettings(), 1, SIZE, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(pools, "_stack", None)  # a second making would fail
    again = synthetic_pool(heads, 6, SyntheticSettings(), 1, SIZE, tmp_path)
    assert np.array_equal(first.data.images, again.data.images)
    assert np.array_equal(first.data.masks, again.data.masks)
    assert np.array_equal(first.data.labels, again.data.labels)
    assert list(first.weightings) == list(again.weightings)
    assert list(first.origins) == ["01"] * 6


def test_pool_does_not_depend_on_the_number_of_processes(tmp_path):
    heads = [drawn_head()]
    one, two = (
        synthetic_pool(heads, 4, SyntheticSettings(), 3, SIZE, tmp_path / str(n), n) for n in (1, 2)
    )
    assert np.array_equal(one.data.images, two.data.images)


def test_other_settings_make_another_pool(tmp_path):
    heads = [drawn_head()]
    for settings in (SyntheticSettings(), SyntheticSettings(spots=0.9)):
        synthetic_pool(heads, 1, settings, 1, SIZE, tmp_path, 1)
    assert len(list(tmp_path.iterdir())) == 2


def test_thick_slices_give_axial_slices_alone(normals):
    fine, thick = (slices_of(volume) for volume in normals)
    assert {one.plane for one in fine} == {"axial", "coronal", "sagittal"}
    assert {one.plane for one in thick} == {"axial"}
    assert all(one.pixels.dtype == np.uint8 for one in fine)


def test_normal_slices_are_upright(normals):
    (coronal, *_), _ = ([s for s in slices_of(v) if s.plane != "axial"] for v in normals)
    # The drawn head is 172 voxels high and 152 wide, and centred.
    assert coronal.pixels.shape == (190, 170)


def test_subjects_kept_apart(normals):
    train, kept = split_normals(normals)
    assert [volume.subject for volume in train] == ["open-ms/patient01"]
    assert [volume.subject for volume in kept] == ["open-ms/patient04"]
    assert kept[0].subject in HELD_OUT


def test_normals_without_index_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"index\.csv"):
        load_normals(tmp_path)


def test_tumours_are_laid_into_normal_heads(normals, donors, tmp_path):
    slices = [one for volume in normals for one in slices_of(volume)]
    laid = grafted_pool(slices, donors, 12, 1, tmp_path)
    assert len(laid.data.images) >= 6
    assert laid.data.has_mask.all()
    assert not (laid.data.labels == label_index(NOTUMOR)).any()
    assert set(laid.weightings) <= {"t1", "t1c", "flair"}
    heads = normal_pool(slices, SIZE)
    assert len(heads.data.images) == len(slices)
    assert (heads.data.labels == label_index(NOTUMOR)).all()


@pytest.mark.parametrize("weighting", REPAINTED)
def test_repainted_tumour_has_the_greys_of_the_weighting(weighting):
    donor = np.full((SIZE, SIZE), 100, np.uint8)
    tumour = np.zeros((SIZE, SIZE), bool)
    tumour[40:56, 40:56] = True
    donor[tumour] = 220
    for seed in range(10):
        rng = np.random.default_rng(seed)
        patch = repaint(donor, tumour, (100.0, 120.0), weighting, "glioma", rng)
        assert patch[0, 0] == pytest.approx(120.0)
        inside = patch[tumour].mean()
        assert inside < 135 if weighting == "t1" else inside > 90
