"""What counts as an image of a class, and what stops the run instead of being lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_helpers import data_set_files, image_bytes, picture, write_files, write_zip

from brain_cnn.dataset.index import (
    ImageRecord,
    find_root,
    index_images,
    load_images,
    load_masks,
    read_pixels,
)
from brain_cnn.errors import DatasetError
from brain_cnn.scan.read import read_scan


def test_training_and_testing_folders_give_the_official_split(tmp_path: Path) -> None:
    records = index_images(write_files(tmp_path, data_set_files(2)))
    assert len(records) == 16
    assert records[0] == ImageRecord("Testing/glioma/0.png", "glioma", "test")
    assert [r.path for r in records] == sorted(r.path for r in records)
    assert sum(r.official_split == "train" for r in records) == 8


def test_class_folders_alone_have_no_official_split(tmp_path: Path) -> None:
    records = index_images(write_files(tmp_path, data_set_files(1, parts=("",))))
    assert [(r.label, r.official_split) for r in records] == [
        ("glioma", ""),
        ("meningioma", ""),
        ("notumor", ""),
        ("pituitary", ""),
    ]


def test_folder_aliases_are_understood(tmp_path: Path) -> None:
    image = image_bytes(picture(1, 48))
    names = ["glioma_tumor", "Meningioma-Tumour", "no_tumor", "PITUITARY"]
    write_files(tmp_path, {f"train/{name}/a.png": image for name in names})
    labels = {r.path.split("/")[1]: r.label for r in index_images(tmp_path)}
    assert labels == dict(zip(names, ["glioma", "meningioma", "notumor", "pituitary"], strict=True))


@pytest.mark.parametrize("where", ["Training/astrocytoma", "astrocytoma", "Training/glioma/more"])
def test_an_unknown_folder_stops_with_its_name(where: str, tmp_path: Path) -> None:
    write_files(tmp_path, data_set_files(1) | {f"{where}/a.png": image_bytes(picture(1, 48))})
    with pytest.raises(DatasetError, match=where) as caught:
        index_images(tmp_path)
    assert caught.value.code == "unknown-folder"
    assert "glioma" in caught.value.hint


def test_an_unknown_folder_is_skipped_only_by_name(tmp_path: Path) -> None:
    files = data_set_files(1, parts=("",)) | {"other_lesion/a.png": image_bytes(picture(1, 48))}
    write_files(tmp_path, files)
    assert len(index_images(tmp_path, skip_folders=["other_lesion"])) == 4


def test_hidden_folders_and_files_are_no_data(tmp_path: Path) -> None:
    image = image_bytes(picture(1, 48))
    hidden = [
        "__MACOSX/Training/glioma/x.png",
        ".git/x.png",
        "Training/.ipynb_checkpoints/x.png",
        "Training/glioma/.ipynb_checkpoints/x.png",
        "Training/glioma/._0.png",
        "Training/glioma/Thumbs.db",
        "Training/glioma/notes.txt",
        "README.txt",
    ]
    write_files(tmp_path, data_set_files(1) | dict.fromkeys(hidden, image))
    assert len(index_images(tmp_path)) == 8


def test_images_are_found_by_content_whatever_their_suffix(tmp_path: Path) -> None:
    write_files(tmp_path, data_set_files(1))
    image = next(iter(data_set_files(1).values()))
    others = dict.fromkeys(("a.jfif", "b.jpe", "c", "d.JPG.bak"), image)
    words = {"notes.txt": b"words", "Thumbs.db": b"\xd0\xcf\x11\xe0", ".hidden": image}
    write_files(tmp_path / "Training" / "glioma", others | words)
    assert len(index_images(tmp_path)) == len(data_set_files(1)) + 4


def test_a_data_set_one_folder_down_is_found(tmp_path: Path) -> None:
    write_files(tmp_path / "archive", data_set_files(1))
    write_files(tmp_path, {"__MACOSX/archive/x.png": b""})
    assert find_root(tmp_path) == tmp_path / "archive"


def test_a_data_set_two_folders_down_is_found(tmp_path: Path) -> None:
    write_files(tmp_path / "archive" / "archive", data_set_files(1))
    assert find_root(tmp_path) == tmp_path / "archive" / "archive"
    write_files(tmp_path / "archive" / "other", data_set_files(1))
    with pytest.raises(DatasetError, match="archive, other"):
        find_root(tmp_path)


def test_a_zip_in_a_zip_is_said(tmp_path: Path) -> None:
    write_files(tmp_path, {"data.ZIP": b"PK"})
    with pytest.raises(DatasetError, match=r"another ZIP, 'data.ZIP'"):
        find_root(tmp_path)


def test_a_folder_without_classes_says_what_is_there(tmp_path: Path) -> None:
    write_files(tmp_path, {"cats/a.png": b"", "dogs/b.png": b""})
    with pytest.raises(DatasetError, match=r"'cats', 'dogs'"):
        find_root(tmp_path)


def test_two_data_sets_side_by_side_are_not_guessed_between(tmp_path: Path) -> None:
    write_files(tmp_path / "one", data_set_files(1))
    write_files(tmp_path / "two", data_set_files(1))
    with pytest.raises(DatasetError, match="one, two"):
        find_root(tmp_path)


def test_empty_class_folders_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "Training" / "glioma").mkdir(parents=True)
    with pytest.raises(DatasetError) as caught:
        index_images(tmp_path)
    assert caught.value.code == "no-images"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_training_reads_the_pixels_that_serving_reads(kind: str, tmp_path: Path) -> None:
    data = image_bytes(picture(3), kind)
    (tmp_path / "a.img").write_bytes(data)
    served = read_scan(data).slices[0].pixels
    assert np.array_equal(read_pixels(tmp_path / "a.img"), served)


def test_few_unreadable_images_are_listed_and_left_out(tmp_path: Path) -> None:
    write_files(tmp_path, data_set_files(5))  # 40 images: 5 % are 2
    broken = ["Testing/glioma/1.png", "Training/notumor/0.png"]
    (tmp_path / broken[0]).write_bytes(b"")
    (tmp_path / broken[1]).write_bytes((tmp_path / broken[1]).read_bytes()[:60])
    records = index_images(tmp_path)
    images, unreadable = load_images(tmp_path, records, workers=2)
    assert [path for path, _ in unreadable] == broken
    assert all(reason for _, reason in unreadable)
    kept = [record for record in records if record.path not in broken]
    assert len(images) == len(kept) == 38
    for pixels, record in zip(images, kept, strict=True):
        assert np.array_equal(pixels, read_pixels(tmp_path / record.path))


def test_more_than_five_percent_unreadable_stops(tmp_path: Path) -> None:
    write_files(tmp_path, data_set_files(5))
    for number in range(3):
        (tmp_path / f"Training/glioma/{number}.png").write_bytes(b"<html>not an image</html>")
    with pytest.raises(DatasetError, match="3 of 40") as caught:
        load_images(tmp_path, index_images(tmp_path))
    assert caught.value.code == "too-many-unreadable"
    assert "Training/glioma/0.png" in caught.value.message


@pytest.mark.parametrize("packed", [True, False])
def test_masks_find_their_images_whatever_the_suffix(packed: bool, tmp_path: Path) -> None:
    records = [
        ImageRecord("Training/glioma_tumor/a.jpg", "glioma", "train"),
        ImageRecord("Testing/glioma_tumor/a.jpg", "glioma", "test"),
        ImageRecord("Training/notumor/a.jpg", "notumor", "train"),
    ]
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 5:9] = 255
    files = {
        "Training/glioma/a.png": image_bytes(mask),
        "Training/pituitary/b.png": image_bytes(mask),
    }
    if packed:
        source = write_zip(tmp_path / "masks.zip", files)
    else:
        source = write_files(tmp_path / "masks", files)
    found = load_masks(str(source), records)
    assert list(found) == ["Training/glioma_tumor/a.jpg"]
    assert np.array_equal(found["Training/glioma_tumor/a.jpg"], mask)


def test_masks_of_another_data_set_are_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"Training/glioma/z.png": image_bytes(picture(1, 48))})
    with pytest.raises(DatasetError) as caught:
        load_masks(str(tmp_path), [ImageRecord("Training/glioma/a.jpg", "glioma", "train")])
    assert caught.value.code == "no-masks"
