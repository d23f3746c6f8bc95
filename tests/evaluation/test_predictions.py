"""Predictions survive the file, and a table made from the file is the published one."""

import numpy as np
import pytest

from brain_cnn.errors import DatasetError
from brain_cnn.evaluation.metrics import evaluate_predictions
from brain_cnn.evaluation.predictions import evaluate_file, read_predictions, write_predictions
from brain_cnn.labels import LABELS


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(4), size=30)
    true = rng.integers(0, 4, 30)
    paths = [f"Testing/{LABELS[t]}/with, comma {i}.jpg" for i, t in enumerate(true)]
    return paths, true, scores, [f"g{i // 3}" for i in range(30)]


def test_what_is_written_is_read_back(tmp_path, sample):
    paths, true, scores, groups = sample
    file = tmp_path / "new folder" / "p.csv"
    write_predictions(file, paths, true, scores, groups)
    back = read_predictions(file)
    assert back.paths == paths
    assert back.true.tolist() == true.tolist()
    assert back.groups == groups
    assert np.abs(back.probabilities - scores).max() <= 5.1e-7
    assert (
        file.read_text().splitlines()[0] == "path,label,group,glioma,meningioma,notumor,pituitary"
    )


def test_labels_are_taken_by_name_or_by_position(tmp_path, sample):
    paths, true, scores, groups = sample
    write_predictions(tmp_path / "a.csv", paths, true, scores, groups)
    write_predictions(tmp_path / "b.csv", paths, [LABELS[t] for t in true], scores, groups)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_no_groups_stay_no_groups(tmp_path, sample):
    paths, true, scores, _ = sample
    write_predictions(tmp_path / "p.csv", paths, true, scores, None)
    assert read_predictions(tmp_path / "p.csv").groups is None


def test_table_of_the_file_equals_the_table_of_what_is_read(tmp_path, sample):
    write_predictions(tmp_path / "p.csv", *sample)
    expected = evaluate_predictions(*read_predictions(tmp_path / "p.csv")[1:])
    assert evaluate_file(tmp_path / "p.csv") == expected


def test_lengths_that_differ_are_refused(tmp_path, sample):
    paths, true, scores, groups = sample
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "p.csv", paths, true[:-1], scores, groups)
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "p.csv", paths, true, scores, groups[:-1])
    assert not (tmp_path / "p.csv").exists()


HEADER = "path,label,group,glioma,meningioma,notumor,pituitary\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "columns"),
        (HEADER, "no rows"),
        ("path,label\na,glioma\n", "columns"),
        (HEADER + "a,oedema,,1,0,0,0\n", "oedema"),
        (HEADER + "a,glioma,,x,0,0,0\n", "not a number"),
        (HEADER + "a,glioma,,1,0\n", "not a number"),
        (HEADER + "a,glioma,g,1,0,0,0\nb,glioma,,1,0,0,0\n", "no group for 1 of 2"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, text, word):
    file = tmp_path / "p.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=word):
        read_predictions(file)


def test_a_missing_file_is_named_without_its_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"absent\.csv") as caught:
        read_predictions(tmp_path / "absent.csv")
    assert str(tmp_path) not in str(caught.value)
