"""Promises of labelled data in memory."""

import numpy as np

from brain_cnn.dataset.index import ImageRecord
from brain_cnn.dataset.labelled import LabelledData
from brain_cnn.dataset.splits import Split
from brain_cnn.labels import LABELS


def made(count=12):
    records = [ImageRecord(f"{LABELS[i % 4]}/{i}.png", LABELS[i % 4], "") for i in range(count)]
    images = [np.full((4, 4), i, np.uint8) for i in range(count)]
    places = np.arange(count)
    groups = np.array([f"patient {i}" for i in range(count)])
    split = Split("grouped", places[:6], places[6:9], places[9:], groups, False, "drawn")
    return LabelledData(records, images, split, [("a", "damaged")], [images[0]])


def test_subset_keeps_each_image_with_its_label_group_and_part():
    whole = made()
    few = whole.subset([10, 2, 7, 3])
    assert [record.path for record in few.records] == [whole.records[i].path for i in (10, 2, 7, 3)]
    assert [int(image[0, 0]) for image in few.images] == [10, 2, 7, 3]
    assert list(few.split.groups) == [f"patient {i}" for i in (10, 2, 7, 3)]
    assert few.split.train.tolist() == [1, 3]
    assert few.split.val.tolist() == [2] and few.split.test.tolist() == [0]
    assert few.unreadable == whole.unreadable and len(few.outliers) == 1


def test_subset_without_a_part_leaves_that_part_empty():
    few = made().subset(range(9))
    assert len(few.images) == 9 and len(few.split.test) == 0
    assert few.split.train.tolist() == list(range(6)) and few.split.val.tolist() == [6, 7, 8]
