"""What is in an upload twice counts once, every file keeps its answer, and a note says so."""

import io

import numpy as np
import pytest
from pydicom import dcmread, uid
from scanfiles import RAMP, dicom, nifti, recompressed, save
from test_scan_archive import archive, picture
from test_scan_files import square

from brain_cnn.scan import ScanLimits, read_files

AXIAL = [1, 0, 0, 0, 1, 0]


def stack(count=4, **elements):
    """Return the files of one series, each with a UID of its own."""
    return [
        dicom(
            RAMP + 50 * place,
            ImageOrientationPatient=AXIAL,
            ImagePositionPatient=[0, 0, 4.0 * place],
            InstanceNumber=place + 1,
            SOPInstanceUID=f"1.2.9.{place}",
            **elements,
        )
        for place in range(count)
    ]


def written_again(data, **elements):
    """Return the same instance in other bytes."""
    dataset = dcmread(io.BytesIO(data))
    for name, value in elements.items():
        setattr(dataset, name, value)
    return save(dataset)


def positions(series):
    return [one.position_mm for one in series.scan.slices]


@pytest.mark.parametrize(
    "upload",
    [
        stack() * 2,
        [*stack(), stack()[2]],
        [archive({f"{d}/{n}": f for d in ("a", "a - Copy") for n, f in enumerate(stack())})],
        [archive({str(n): f for n, f in enumerate(stack())}), *stack()[:2]],
        [*stack(), *(written_again(f, StationName="OTHER") for f in stack())],
        [*stack(), *(recompressed(f, uid.JPEG2000Lossless, {}) for f in stack())],
    ],
    ids=["twice", "one twice", "folder and copy", "ZIP and files", "another header", "compressed"],
)
def test_copies_of_slices_count_once(upload):
    (one,), problems = read_files(upload)
    assert positions(one) == [0, 4, 8, 12] and problems == {}
    assert any("counted once" in note for note in one.scan.notes)
    assert one.files == set(range(len(upload))), "every file has its slices"
    assert all(one.slices_of(file) for file in range(len(upload)))


def test_without_copies_nothing_is_said():
    (one,), _ = read_files(stack())
    assert not any("once" in note for note in one.scan.notes)


def test_one_uid_for_all_files_does_not_make_them_one():
    """Some programs that take the names out give every file one UID."""
    files = [written_again(f, SOPInstanceUID="1.2.9") for f in stack()]
    (one,), _ = read_files(files)
    assert positions(one) == [0, 4, 8, 12]
    nowhere = [dicom(RAMP), dicom(RAMP + 9), dicom(RAMP, StationName="X")]
    (one,), _ = read_files(nowhere)
    assert len(one.scan.slices) == 2 and one.also[0] == {2}


def test_copies_of_pictures_volumes_and_archives_count_once():
    packed = archive({"a.png": picture(1), "b.png": picture(2), "c.png": picture(1)})
    volume = nifti(np.arange(30 * 30 * 30, dtype=np.int16).reshape(30, 30, 30))
    files = [packed, picture(2), volume, square(40), packed, volume, square(40)]
    series, problems = read_files(files)
    assert [len(one.scan.slices) for one in series] == [2, 30, 1] and problems == {}
    assert [sorted(one.files) for one in series] == [[0, 1, 4], [2, 5], [3, 6]]
    assert "4 slices are copies" in series[0].scan.notes[-1]


def test_archive_of_copies_alone_is_read():
    series, problems = read_files([picture(1), archive({"x.png": picture(1)})])
    assert [sorted(one.files) for one in series] == [[0, 1]] and problems == {}


def test_copy_of_a_refused_file_is_refused_too():
    series, problems = read_files([b"junk", picture(1), b"junk"])
    assert len(series) == 1 and sorted(problems) == [0, 2]


def test_content_of_a_refused_archive_is_read_where_it_comes_again():
    """Its members were read before the whole was too large; they are no copies then."""
    large = archive({f"{n}.png": square(60, n) for n in range(3)})
    limits = ScanLimits(max_study_pixels=3600 * 2)
    series, problems = read_files([large, square(60, 0)], limits=limits)
    assert list(problems) == [0] and [one.sources for one in series] == [(1,)]
    assert not series[0].scan.notes


def test_copies_of_a_series_that_is_refused_are_refused_with_it():
    series, problems = read_files([*stack(), *stack()], limits=ScanLimits(max_slices=3))
    assert series == [] and sorted(problems) == list(range(8))
