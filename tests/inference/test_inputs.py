"""`classify` takes bytes, a path, an open file or an array, or says in a sentence what to give."""

import io

import numpy as np
import pytest
from PIL import Image

from brain_cnn.phantoms import draw_phantom


def test_path_file_array_and_bytes_are_one_slice(classifier, tmp_path):
    pixels = draw_phantom("glioma", 3)
    path = tmp_path / "slice.png"
    Image.fromarray(pixels).save(path)
    data = path.read_bytes()
    colour = np.stack([pixels] * 3, axis=2)
    expected = classifier.classify(data).probabilities
    turned = pixels[:, ::-1][:, ::-1]
    for given in (path, str(path), io.BytesIO(data), bytearray(data), pixels, turned,
                  colour):  # fmt: skip
        assert classifier.classify(given).probabilities == expected
    study = classifier.classify_study([path, data])
    assert len(study.slices) == 1
    assert classifier.classify_many([path, data])[0].probabilities == expected


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (5, "int"),
        ("no-such-slice.png", "no path of a file"),
        (None, "NoneType"),
        (io.StringIO("x"), "opened as text"),
        (np.zeros((40, 40), np.float32), "float32"),
        (np.zeros((2, 40, 40, 3), np.uint8), "(2, 40, 40, 3)"),
    ],
)
def test_what_cannot_be_judged_is_said(classifier, given, word):
    with pytest.raises(TypeError, match="give bytes") as caught:
        classifier.classify(given)
    assert word in str(caught.value)
