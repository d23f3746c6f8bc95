"""DICOM: every variant gives the pixels that a radiologist would see, or a refusal by name."""

import io
import itertools

import numpy as np
import pytest
from format_table import pydicom_file
from pydicom import Dataset, Sequence, dcmread, uid
from pydicom.encaps import encapsulate, generate_frames
from scanfiles import ENCODERS, RAMP, SECRETS, dicom, recompressed, save

from brain_cnn.errors import ScanError
from brain_cnn.scan import ScanLimits, read_files, read_scan
from brain_cnn.scan.display import Window
from brain_cnn.scan.jpegls import is_sound

# Refusals name what was found; `test_scan_table.py` has every file.
REFUSED = [
    ("rtplan.dcm", "RT Plan Storage"),
    ("rtstruct.dcm", "RT Structure Set Storage"),
    ("test-SR.dcm", "Comprehensive SR Storage"),
    ("DICOMDIR-empty.dcm", "Media Storage Directory"),
    ("MR_truncated.dcm", "Explicit VR Little Endian"),
    ("badVR.dcm", "NumberOfFrames"),
    ("rtdose.dcm", "10 x 10"),
]


def refusal(data, **limits):
    with pytest.raises(ScanError) as caught:
        read_scan(data, limits=ScanLimits(**limits))
    return caught.value


@pytest.mark.parametrize(("name", "words"), REFUSED)
def test_refusal_names_what_the_file_is(name, words):
    assert words in refusal(pydicom_file(name)).message


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    ],
    ids=lambda syntax: syntax.name,
)
def test_uncompressed_syntaxes_are_the_same_picture(syntax):
    expected = read_scan(dicom()).slices[0].pixels
    assert np.array_equal(read_scan(dicom(syntax=syntax)).slices[0].pixels, expected)


@pytest.mark.parametrize(
    ("syntax", "options"), ENCODERS, ids=lambda value: getattr(value, "name", "")
)
def test_every_syntax_that_an_encoder_writes_decodes_to_the_picture(syntax, options):
    check_same_picture(dicom(), syntax, options)


def check_same_picture(plain, syntax, options):
    """Compare a slice with its compressed self: equal where lossless, else within 2 %."""
    expected = read_scan(plain).slices[0].pixels.astype(int)
    found = read_scan(recompressed(plain, syntax, options)).slices[0].pixels.astype(int)
    if options:
        assert np.abs(found - expected).mean() <= 0.02 * 255
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_negative_values_survive_compression(syntax):
    signed = dicom(RAMP.astype(np.int16) - 1000)
    check_same_picture(signed, syntax, {})


def dcmread_bytes(data):
    return dcmread(io.BytesIO(data), force=True)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_file_without_preamble_is_read(syntax):
    data = dicom(syntax=syntax, preamble=False)
    assert data[:4] == b"\x02\x00\x00\x00"
    assert np.array_equal(
        read_scan(data).slices[0].pixels, read_scan(dicom(syntax=syntax)).slices[0].pixels
    )


def test_rescale_comes_before_the_window():
    scan = read_scan(
        dicom(RescaleSlope=2, RescaleIntercept=-200, WindowCenter=1000, WindowWidth=1001)
    )
    values = RAMP.astype(float) * 2 - 200
    expected = np.clip((values - 499.5) / 1000, 0, 1) * 255
    assert np.abs(scan.slices[0].pixels - expected).max() <= 1


def test_window_functions_are_those_of_the_standard():
    assert Window.of_header(128, 256) == Window(0.0, 255.0)
    assert Window.of_header(128, 256, "LINEAR_EXACT") == Window(0.0, 256.0)
    sigmoid = Window.of_header(100, 50, "SIGMOID")
    assert sigmoid.apply(np.array([100.0]))[0] == pytest.approx(0.5)
    assert sigmoid.apply(np.array([125.0]))[0] == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize("width", [0, -5, 1])
def test_impossible_window_is_passed_over(width):
    pixels = read_scan(dicom(WindowCenter=0, WindowWidth=width)).slices[0].pixels
    assert np.array_equal(pixels, read_scan(dicom()).slices[0].pixels)


def test_monochrome1_is_inverted_after_the_window():
    window = {"WindowCenter": 800, "WindowWidth": 1000}
    plain = read_scan(dicom(**window)).slices[0].pixels
    scan = read_scan(dicom(PhotometricInterpretation="MONOCHROME1", **window))
    assert np.array_equal(scan.slices[0].pixels, 255 - plain) and "MONOCHROME1" in scan.notes[0]


def test_voi_table_goes_before_the_window():
    table = Dataset()
    table.LUTDescriptor = [2000, 0, 16]
    table.LUTData = (np.minimum(255, np.arange(2000) // 4) * 257).astype("<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    scan = read_scan(dicom(VOILUTSequence=Sequence([table]), WindowCenter=5, WindowWidth=5))
    assert np.abs(scan.slices[0].pixels.astype(int) - np.minimum(255, RAMP // 4)).max() <= 1


def test_signed_and_padded_values_are_read():
    signed = RAMP.astype(np.int16) - 1000
    signed[-1, -1] = -2000
    pixels = read_scan(dicom(signed, PixelPaddingValue=-2000)).slices[0].pixels
    assert pixels[-1, -1] == 0 and pixels[5, 5] == 255


def enhanced(origins, orientation=(1, 0, 0, 0, 1, 0)):
    """Return an enhanced multi-frame MR with a frame at each z, and a window for each."""
    frames = np.stack([RAMP + int(z) for z in origins]).astype(np.uint16)
    groups = []
    for z in origins:
        group, place, window = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        window.WindowCenter, window.WindowWidth = 1000, 2001
        group.PlanePositionSequence = Sequence([place])
        group.FrameVOILUTSequence = Sequence([window])
        groups.append(group)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(orientation)
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 3
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelMeasuresSequence = Sequence([measures])
    return dicom(
        frames,
        SOPClassUID=uid.EnhancedMRImageStorage,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(groups),
    )


def test_frames_of_an_enhanced_file_are_sorted_by_their_own_positions():
    scan = read_scan(enhanced([20, 0, 10]))
    assert [s.position_mm for s in scan.slices] == [0, 10, 20]
    means = [s.pixels.mean() for s in scan.slices]
    assert means == sorted(means) and scan.facts.slice_thickness_mm == 3


def series(count=5, **elements):
    return [
        dicom(
            RAMP + 50 * place,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 4.0 * place],
            PixelSpacing=[1, 1],
            InstanceNumber=count - place,
            **elements,
        )
        for place in range(count)
    ]


def test_files_of_a_series_are_sorted_along_the_normal_whatever_their_order():
    files = series()
    shuffled = [files[place] for place in (3, 0, 4, 1, 2)]
    (one,), problems = read_files(shuffled)
    assert [s.position_mm for s in one.scan.slices] == [0, 4, 8, 12, 16]
    assert one.sources == (1, 3, 4, 0, 2) and not problems


def test_series_is_windowed_once():
    (one,), _ = read_files(series())
    corners = [int(s.pixels[0, -1]) for s in one.scan.slices]
    assert all(b > a for a, b in itertools.pairwise(corners))


def test_two_series_stay_apart_and_a_bad_file_has_its_error():
    other = series(2, SeriesInstanceUID="1.2.3")
    found, problems = read_files([*series(3), *other, b"junk"])
    assert [len(one.scan.slices) for one in found] == [3, 2]
    assert list(problems) == [5] and problems[5].status == 415


def test_planes_of_a_localiser_are_stacks_of_their_own():
    sagittal = dicom(ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[0, 0, 0])
    found, _ = read_files([*series(3), sagittal])
    assert [one.scan.facts.plane for one in found] == ["axial", "sagittal"]


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        ([1, 0, 0, 0, 1, 0], lambda a: a),
        ([-1, 0, 0, 0, 1, 0], lambda a: a[:, ::-1]),
        ([1, 0, 0, 0, -1, 0], lambda a: a[::-1]),
        ([0, 1, 0, 1, 0, 0], lambda a: a.T),
        ([0, -1, 0, 1, 0, 0], lambda a: a.T[::-1]),
    ],
)
def test_slice_is_turned_upright_by_its_orientation(orientation, turn):
    plain = read_scan(dicom()).slices[0].pixels
    found = read_scan(dicom(ImageOrientationPatient=orientation)).slices[0].pixels
    assert np.array_equal(found, turn(plain))


def test_pixels_that_are_not_square_are_resampled():
    pixels = read_scan(dicom(PixelSpacing=[2.0, 1.0])).slices[0].pixels
    assert pixels.shape == (80, 60)


@pytest.mark.parametrize(
    ("elements", "weighting"),
    [
        ({"RepetitionTime": 500, "EchoTime": 10}, "T1"),
        ({"ProtocolName": "T1", "ContrastBolusAgent": "Gd"}, "T1 contrast-enhanced"),
        ({"RepetitionTime": 4000, "EchoTime": 100}, "T2"),
        ({"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}, "FLAIR"),
        ({"RepetitionTime": 2300, "EchoTime": 22}, "PD"),
        ({"SeriesDescription": "ax t2 tse"}, "T2"),
        ({"SeriesDescription": "localizer"}, ""),
    ],
)  # fmt: skip
def test_weighting_is_guessed_from_the_header(elements, weighting):
    assert read_scan(dicom(**elements)).facts.weighting == weighting


def test_header_s_words_do_not_leave_the_reader():
    scan = read_scan(dicom(Modality="DOE^JANE", SOPClassUID="1.2.826.0.1.3680043.8.498.77"))
    said = repr(scan.facts) + repr(scan.notes)
    assert scan.facts.modality == "other" and not any(secret in said for secret in SECRETS)


def test_unknown_syntax_is_refused_and_its_uid_is_not_shown():
    error = refusal(dicom().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    assert (error.status, error.code) == (415, "unsupported-syntax")
    assert "9.9.9" not in error.message


def test_video_is_refused_by_name():
    error = refusal(video())
    assert error.code == "unsupported-syntax" and "MPEG2" in error.message


def video():
    dataset = dcmread_bytes(dicom())
    dataset.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return save(dataset)


def test_compressed_picture_larger_than_its_header_is_refused_before_decoding():
    dataset = dcmread_bytes(dicom())
    dataset.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows, dataset.Columns = 30, 30
    assert "60 x 40" in refusal(save(dataset)).message
    assert refusal(save(dataset), max_pixels=1000).status == 413


def test_deflated_bomb_is_refused_before_it_is_unpacked():
    data = dicom(np.zeros((2000, 2000), np.uint16), syntax=uid.DeflatedExplicitVRLittleEndian)
    assert len(data) < 100_000
    assert refusal(data, max_unpacked_bytes=1_000_000).code == "unpacks-too-large"


def test_more_frames_than_the_limit_are_refused():
    assert refusal(enhanced([0, 1, 2]), max_slices=2).code == "too-many-slices"


def test_time_is_up_between_frames():
    assert refusal(dicom(), max_seconds=-1).code == "too-slow"


def test_damaged_jpeg_ls_is_refused_before_it_keeps_the_decoder_busy():
    # The bits end within a run of zeros: CharLS alone would count for seconds, whatever the size.
    noise = np.random.default_rng(0).integers(0, 60_000, (64, 64)).astype(np.uint16)
    dataset = dcmread_bytes(recompressed(dicom(noise), uid.JPEGLSLossless, {}))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert is_sound(frame)
    for share in (0.2, 0.5, 0.9):
        cut = frame[: int(len(frame) * share)] + bytes(2) + b"\xff\xd9"
        assert not is_sound(cut)
        dataset.PixelData = encapsulate([cut])
        assert refusal(save(dataset)).code == "damaged-image"
    for missing in range(6, 40):  # a few bits short, with and without the marker of the end
        for end in (b"", b"\xff\xd9"):
            dataset.PixelData = encapsulate([frame[:-missing] + end])
            assert refusal(save(dataset)).code == "damaged-image"
    assert not is_sound(b"\xff\xd8") and not is_sound(frame.replace(b"\xff\xda", b"\xff\xfe"))
