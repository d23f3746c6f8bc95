"""One series UID is not one stack: what is judged together was taken together."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, uid
from scanfiles import RAMP, dicom

from brain_cnn.scan import main_series, read_files
from brain_cnn.scan.modality import check_modality

AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
SMALL = RAMP[:30, :30]
PLAIN = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def slice_file(place=0, **elements):
    about = {
        "ImageOrientationPatient": AXIAL,
        "ImagePositionPatient": [0, 0, 5.0 * place],
        "InstanceNumber": place + 1,
        "SOPInstanceUID": f"1.2.9.{zlib.crc32(repr((place, sorted(elements))).encode())}",
    }
    return dicom(elements.pop("pixels", SMALL), **(about | elements))


def sizes(files):
    series, problems = read_files(files)
    assert not problems
    return [len(one.scan.slices) for one in series]


NEIGHBOURS = {
    "patient": {"PatientID": "PID-2", "StudyInstanceUID": "1.2.7"},
    "study": {"StudyInstanceUID": "1.2.7"},
    "frame of reference": {"FrameOfReferenceUID": "1.2.8"},
    "modality": {"Modality": "CT"},
    "matrix": {"pixels": RAMP},
    "spacing": {"PixelSpacing": [2, 2]},
    "orientation by 3 degrees": {
        "ImageOrientationPatient": [1, 0, 0, 0, math.cos(math.radians(3)), math.sin(0.0523599)]
    },
    "orientation the other way": {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]},
}


@pytest.mark.parametrize("other", NEIGHBOURS.values(), ids=NEIGHBOURS)
@pytest.mark.parametrize("at", [0, 3], ids=["first", "last"])
def test_what_was_not_taken_together_is_apart(other, at):
    files = [slice_file(place, PixelSpacing=[1, 1]) for place in range(3)]
    files.insert(at, slice_file(7, **({"PixelSpacing": [1, 1]} | other)))
    assert sorted(sizes(files)) == [1, 3]


REPEATS = {
    "echo": [{"EchoTime": 10, "EchoNumbers": 1}, {"EchoTime": 90, "EchoNumbers": 2}],
    "temporal position": [{"TemporalPositionIdentifier": n} for n in (1, 2, 3)],
    "diffusion": [{"DiffusionBValue": b} for b in (0.0, 1000.0)],
    "trigger": [{"TriggerTime": t} for t in (0, 400)],
    "kind of image": [{"ImageType": ["ORIGINAL", "PRIMARY", k]} for k in ("M", "P")],
    "acquisition": [{"AcquisitionNumber": n} for n in (1, 2)],
    "number alone": [{"InstanceNumber": n} for n in (1, 100)],
}


@pytest.mark.parametrize("values", REPEATS.values(), ids=REPEATS)
def test_pictures_of_the_same_places_are_stacks_of_their_own(values):
    files = []
    for place in range(4):
        for turn, elements in enumerate(values):
            own = {name: value + place for name, value in elements.items() if "Inst" in name}
            files.append(
                slice_file(
                    place,
                    pixels=SMALL + 40 * turn,
                    SOPInstanceUID=f"1.2.9.{place}.{turn}",
                    **(elements | own),
                )
            )
    series, problems = read_files(files[::-1])
    assert [len(one.scan.slices) for one in series] == [4] * len(values) and not problems
    for one in series:  # no stack mixes them
        assert len({source % len(values) for source in one.sources}) == 1
        assert any("same places" in note for note in one.scan.notes)


def test_trigger_time_of_each_slice_does_not_cut_the_stack_into_splinters():
    files = [
        slice_file(
            place, TriggerTime=100 * place + 7 * turn, EchoTime=10 + turn,
            pixels=SMALL + turn, SOPInstanceUID=f"1.2.9.{place}.{turn}",
        )
        for place in range(5)
        for turn in range(2)
    ]  # fmt: skip
    assert sizes(files) == [5, 5]


def test_one_slice_that_was_taken_again_is_apart():
    files = [slice_file(place) for place in range(5)]
    files.append(slice_file(2, InstanceNumber=9, SOPInstanceUID="1.2.99", pixels=SMALL + 500))
    assert sizes(files) == [5, 1]


def test_echo_that_does_not_repeat_places_stays_in_the_stack():
    files = [slice_file(place, EchoTime=10 + place) for place in range(4)]
    assert sizes(files) == [4]


def test_slices_of_a_ct_are_not_judged_as_mr_whatever_came_first():
    files = [slice_file(0), *(slice_file(place, Modality="CT") for place in range(1, 5))]
    series, _ = read_files(files)
    assert sorted((one.scan.facts.modality, len(one.scan.slices)) for one in series) == [
        ("CT", 4),
        ("MR", 1),
    ]
    assert not check_modality(main_series(series).scan)


def frames_file(groups, **elements):
    """Return an enhanced file; each group maps sequence -> {element: value}."""
    items = []
    for group in groups:
        item = Dataset()
        for sequence, values in group.items():
            inner = Dataset()
            for name, value in values.items():
                setattr(inner, name, value)
            setattr(item, sequence, Sequence([inner]))
        items.append(item)
    pixels = np.stack([SMALL + 40 * place for place in range(len(groups))])
    return dicom(
        pixels,
        SOPClassUID=uid.EnhancedMRImageStorage,
        PerFrameFunctionalGroupsSequence=Sequence(items),
        **elements,
    )


def frame(z=0.0, orientation=AXIAL, **more):
    return {
        "PlanePositionSequence": {"ImagePositionPatient": [0, 0, z]},
        "PlaneOrientationSequence": {"ImageOrientationPatient": orientation},
    } | more


def test_three_planes_of_one_file_are_three_stacks():
    groups = [frame(z, o) for o in (AXIAL, CORONAL, SAGITTAL) for z in (0.0, 5.0)]
    groups[3]["PlanePositionSequence"]["ImagePositionPatient"] = [0, 5, 0]
    groups[5]["PlanePositionSequence"]["ImagePositionPatient"] = [5, 0, 0]
    series, _ = read_files([frames_file(groups)])
    assert [one.scan.facts.plane for one in series] == ["axial", "coronal", "sagittal"]
    assert [len(one.scan.slices) for one in series] == [2, 2, 2]


@pytest.mark.parametrize(
    "more",
    [
        [{"FrameContentSequence": {"TemporalPositionIndex": n}} for n in (1, 2, 3)],
        [{"MREchoSequence": {"EffectiveEchoTime": float(t)}} for t in (10, 100)],
        [{"MRDiffusionSequence": {"DiffusionBValue": float(b)}} for b in (0, 1000)],
    ],
    ids=["temporal", "echo", "diffusion"],
)
def test_repeated_places_of_one_file_are_stacks(more):
    groups = [frame(z, **extra) for extra in more for z in (0.0, 5.0, 10.0)]
    series, _ = read_files([frames_file(groups)])
    assert [len(one.scan.slices) for one in series] == [3] * len(more)
    assert [s.position_mm for s in series[0].scan.slices] == [0, 5, 10]


def test_header_of_the_frame_wins_over_that_of_the_file():
    window = {"FrameVOILUTSequence": {"WindowCenter": 1000, "WindowWidth": 2001}}
    scale = {"PixelValueTransformationSequence": {"RescaleSlope": 2.0, "RescaleIntercept": 0.0}}
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], b"\0" * 8
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    lut = {"VOILUTSequence": Sequence([table]), "ModalityLUTSequence": Sequence([table])}
    plain = frames_file([frame(0.0, **window, **scale)])
    both = frames_file(
        [frame(0.0, **window, **scale)],
        WindowCenter=5, WindowWidth=5, RescaleSlope=9, RescaleIntercept=9, **lut,
        ImageOrientationPatient=SAGITTAL, ImagePositionPatient=[9, 9, 9],
    )  # fmt: skip
    (one,), (other,) = read_files([plain])[0], read_files([both])[0]
    assert np.array_equal(one.scan.slices[0].pixels, other.scan.slices[0].pixels)
    assert other.scan.facts.plane == "axial" and other.scan.slices[0].position_mm == 0


def test_position_is_along_one_normal_and_in_order_where_headers_are_rounded():
    files = []
    for place in range(10):
        sine = 0.15 + (1e-3 if place % 2 else -1e-3)
        cosine = math.sqrt(1 - sine * sine)
        away = np.array([900.0, 900.0, 900.0]) + 1.0 * place * np.array([0, -0.15, 0.98868])
        files.append(
            slice_file(
                place,
                ImageOrientationPatient=[1, 0, 0, 0, cosine, sine],
                ImagePositionPatient=away.tolist(),
            )
        )
    (one,), _ = read_files(files[::-1])
    assert one.sources == tuple(range(9, -1, -1))
    steps = np.diff([s.position_mm for s in one.scan.slices])
    assert np.allclose(steps, 1.0, atol=0.01)


@st.composite
def uploads(draw):
    """Return (right answer, files): stacks, shuffled, with copies and headers that jitter."""
    stacks = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    planes = draw(st.permutations([AXIAL, CORONAL, SAGITTAL]))
    files, expected = [], []
    for number, (count, plane) in enumerate(zip(stacks, planes, strict=False)):
        normal = np.cross(plane[:3], plane[3:])
        for place in range(count):
            turn = draw(st.floats(-0.5, 0.5)) * math.pi / 180
            right = np.array(plane[:3]) * math.cos(turn) + np.array(plane[3:]) * math.sin(turn)
            down = np.array(plane[3:]) * math.cos(turn) - np.array(plane[:3]) * math.sin(turn)
            where = normal * 5.0 * place + draw(st.floats(-0.01, 0.01))
            files.append(
                slice_file(
                    place,
                    pixels=SMALL + 100 * place,
                    ImageOrientationPatient=[*map(float, right), *map(float, down)],
                    ImagePositionPatient=[float(v) for v in where],
                    SOPInstanceUID=f"1.2.9.{number}.{place}",
                )
            )
        expected.append((count, tuple((number, place) for place in range(count))))
    names = [(number, place) for number, count in enumerate(stacks) for place in range(count)]
    copies = draw(st.lists(st.integers(0, len(files) - 1), max_size=4))
    order = draw(st.permutations([*range(len(files)), *copies]))
    return sorted(expected), [files[i] for i in order], [names[i] for i in order]


@PLAIN
@given(uploads())
def test_neither_order_nor_copies_nor_rounding_change_the_stacks(upload):
    expected, files, names = upload
    series, problems = read_files(files)
    found = sorted(
        (len(one.scan.slices), tuple(names[source] for source in one.sources)) for one in series
    )
    assert found == expected and not problems
