"""What would spoil a run is said before its first epoch."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from brain_cnn.dataset.labelled import LabelledData, load_labelled
from brain_cnn.errors import DatasetError, SettingsError
from brain_cnn.phantoms import write_phantom_dataset
from brain_cnn.training.data_check import check_disk, check_training_data


def data_set(folder: Path, train: int = 20, missing: str = "") -> LabelledData:
    write_phantom_dataset(folder, train, 3)
    if missing:
        shutil.rmtree(folder / "Training" / missing)
    return load_labelled(str(folder), "official", seed=0)


def test_data_that_can_be_trained_on_gives_a_table(tmp_path: Path) -> None:
    table = check_training_data(data_set(tmp_path / "a", 30), exports=True)
    assert all(word in table for word in ("glioma", "train", "val", "test"))


def test_too_few_images_for_a_bundle_are_refused_before_the_training(tmp_path: Path) -> None:
    data = data_set(tmp_path / "a", 12)
    with pytest.raises(DatasetError, match="a bundle needs 64"):
        check_training_data(data, exports=True)
    check_training_data(data, exports=False)


def test_class_without_an_image_is_named(tmp_path: Path) -> None:
    data = data_set(tmp_path / "a", 30, missing="pituitary")
    with pytest.raises(DatasetError, match="pituitary has no image in the train part"):
        check_training_data(data, exports=False)


def test_class_with_one_image_is_named(tmp_path: Path) -> None:
    data = data_set(tmp_path / "a", 30)
    labels = [data.records[i].label for i in data.split.train]
    keep = {int(data.split.train[labels.index("glioma")])}
    positions = [
        i
        for i, record in enumerate(data.records)
        if record.label != "glioma" or i in keep or i not in set(data.split.train.tolist())
    ]
    with pytest.raises(DatasetError, match="glioma has one image in the train part"):
        check_training_data(data.subset(positions), exports=False)


def test_full_disk_and_folder_that_cannot_be_written_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_disk(tmp_path / "run", tmp_path / "out")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="cannot be written"):
        check_disk(tmp_path / "file" / "run", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SettingsError, match="1,000 bytes free"):
        check_disk(tmp_path / "run", tmp_path)
