"""Every file of the table gives what the table says, and the docs show that table."""

import pytest
from format_table import DOCUMENT, Picture, document, outcome, rows, same
from pydicom import uid
from realdata import REAL_DATA
from scanfiles import ENCODERS

from brain_cnn.scan.dicom_pixels import READ_SYNTAXES

ROWS = rows()
NO_DATA = pytest.mark.skipif(REAL_DATA is None, reason="no real data (see tests/realdata.py)")


@pytest.mark.parametrize(
    "row",
    [pytest.param(r, id=r.name, marks=NO_DATA if r.origin == "real" else ()) for r in ROWS],
)
def test_file_gives_what_the_table_says(row):
    found = outcome(row.make())
    assert same(found, row.expected), found


def test_nine_encodings_are_nine_different_pictures():
    real = [row.expected for row in ROWS if "dicom-encodings/" in row.variant]
    assert len(real) == len(set(real)) == 9


def test_a_wrong_pixel_would_be_seen():
    picture = Picture(1, (60, 40), (0, 120, 235))
    assert same(picture, Picture(1, (60, 40), (1, 120, 235)))
    for other in (
        Picture(2, (60, 40), (0, 120, 235)),
        Picture(1, (40, 60), (0, 120, 235)),
        Picture(1, (60, 40), (0, 120, 230)),
        Picture(1, (60, 40), (0, 120, 235), "axial"),
    ):
        assert not same(picture, other)


def test_docs_show_the_table():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert document(text) == text, "run: python tests/format_table.py --write"


def test_docs_name_every_syntax_that_is_read_and_who_writes_it_here():
    text = DOCUMENT.read_text(encoding="utf-8")
    for syntax in READ_SYNTAXES:
        assert uid.UID(syntax).name in text, uid.UID(syntax).name
    written = {syntax for syntax, _ in ENCODERS}
    native = {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
    # 8-bit JPEG has a test of its own; RPCL no encoder here.
    assert READ_SYNTAXES - written - native == {uid.JPEGBaseline8Bit, uid.HTJ2KLosslessRPCL}
