"""A ZIP from anybody is unpacked whole and inside its folder, or not at all."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest
from dataset_helpers import write_zip

from brain_cnn.dataset.unpack import UnpackLimits, unpack_zip
from brain_cnn.errors import DatasetError


def _refused(zip_path: Path, tmp_path: Path, limits: UnpackLimits | None = None) -> DatasetError:
    """Unpack, expect a refusal, and check that it left nothing behind."""
    place = tmp_path / "place"
    place.mkdir()
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DatasetError) as caught:
        unpack_zip(zip_path, place / "target", limits)
    assert set(tmp_path.rglob("*")) == before
    assert caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "a/b/../../../evil.txt",
        "..\\evil.txt",
        "a\\..\\..\\evil.txt",
        "/etc/evil.txt",
        "\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "__MACOSX/../../evil.txt",
        ".hidden/../../evil.txt",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"good.txt": b"x", name: b"evil"})
    error = _refused(path, tmp_path)
    assert error.code == "unsafe-zip"
    assert "evil.txt" in error.message


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("Training")
        member.create_system = 3
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, "/etc")
        archive.writestr("Training/passwd", "x")
    assert _refused(path, tmp_path).code == "unsafe-zip"


def test_a_member_that_unpacks_hugely_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"zeros.png": bytes(5_000_000)})
    error = _refused(path, tmp_path)
    assert error.code == "zip-bomb"
    assert "times" in error.message


def test_many_small_members_are_refused_by_the_ratio_of_the_whole(tmp_path: Path) -> None:
    files = {f"{number}.png": bytes(900_000) for number in range(3)}
    assert _refused(write_zip(tmp_path / "a.zip", files), tmp_path).code == "zip-bomb"


def test_too_large_a_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(range(256)) * 8})
    error = _refused(path, tmp_path, UnpackLimits(max_member_bytes=2047))
    assert error.code == "zip-bomb"
    assert "2,048" in error.message


def test_too_large_a_whole_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"{n}.png": bytes(600) for n in range(3)})
    error = _refused(path, tmp_path, UnpackLimits(max_total_bytes=1799))
    assert error.code == "zip-bomb"
    unpack_zip(path, tmp_path / "fits", UnpackLimits(max_total_bytes=1800))


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"{n}.png": b"x" for n in range(6)})
    error = _refused(path, tmp_path, UnpackLimits(max_members=5))
    assert error.code == "zip-bomb"
    assert "6 members" in error.message


def test_a_directory_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(4096)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    for offset in (central + 24, data.index(b"PK\x03\x04") + 22):
        data[offset : offset + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    assert _refused(path, tmp_path).code == "damaged-zip"


def test_an_encrypted_zip_is_refused_and_says_so(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"secret.png": b"x" * 50}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    error = _refused(path, tmp_path)
    assert error.code == "encrypted-zip"
    assert "password" in error.message


@pytest.mark.parametrize(
    "names",
    [
        ["Training\\", "Training\\glioma\\", "Training\\glioma\\1.jpg"],
        ["Training\\glioma\\1.jpg", "Training\\glioma\\", "Training\\"],
        ["Training\\glioma\\1.jpg", "Training\\empty\\"],
    ],
)
def test_folders_that_windows_programs_name_are_folders(names: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            member = zipfile.ZipInfo("x")
            member.filename = name
            archive.writestr(member, b"" if name.endswith("\\") else b"picture")
    unpack_zip(tmp_path / "a.zip", tmp_path / "target")
    files = [p for p in (tmp_path / "target").rglob("*") if p.is_file()]
    assert files == [tmp_path / "target" / "Training" / "glioma" / "1.jpg"]


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/x.png", b"1")
        archive.writestr("a/./x.png", b"2")
    assert _refused(path, tmp_path).code == "unsafe-zip"


def test_a_name_that_is_both_file_and_folder_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"1", "a/x.png": b"2"})
    assert _refused(path, tmp_path).code == "unsafe-zip"


def test_a_cut_zip_is_refused(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", {"a.png": bytes(range(256)) * 20}).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: len(whole) // 2])
    assert _refused(tmp_path / "a.zip", tmp_path).code == "damaged-zip"


def test_a_member_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": b"abcdefgh" * 9}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"abcdefgh" * 9, b"abcdefgX" * 9))
    assert _refused(path, tmp_path).code == "damaged-zip"


def test_a_packing_method_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": b"x" * 50}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 8] = 9  # Deflate64
    data[data.rindex(b"PK\x01\x02") + 10] = 9
    path.write_bytes(data)
    assert _refused(path, tmp_path).code == "unsupported-zip"


def test_hidden_members_are_left_out_at_any_depth(tmp_path: Path) -> None:
    files = {
        "Training/glioma/a.png": b"a",
        "__MACOSX/Training/glioma/._a.png": b"b",
        "Training/.ipynb_checkpoints/a.png": b"c",
        "Training/glioma/.DS_Store": b"d",
        "Training/glioma/__MACOSX/deep/er/x.png": b"e",
    }
    unpack_zip(write_zip(tmp_path / "a.zip", files), tmp_path / "target")
    found = [p for p in (tmp_path / "target").rglob("*") if p.is_file()]
    assert [p.relative_to(tmp_path / "target").as_posix() for p in found] == [
        "Training/glioma/a.png"
    ]
    assert found[0].read_bytes() == b"a"


def test_a_folder_that_holds_something_is_never_written_into(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": b"new"})
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError) as caught:
        unpack_zip(path, tmp_path / "target")
    assert caught.value.code == "target-not-empty"
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["mine.txt"]
