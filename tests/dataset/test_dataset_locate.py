"""A folder, a ZIP or a link leads to one folder; what is cached is whole and the right one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dataset_helpers import data_set_files, write_files, write_zip

from brain_cnn.dataset.download import drive_file_id
from brain_cnn.dataset.index import index_images
from brain_cnn.dataset.locate import default_cache, locate_data
from brain_cnn.dataset.unpack import UnpackLimits
from brain_cnn.errors import DatasetError


class Server:
    """A web server on this machine that a test tells what to answer."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.status = 200
        self.declared: int | None = None
        self.etag: str | None = None
        self.bodies_sent = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.etag and self.headers.get("If-None-Match") == outer.etag:
                    self.send_response(304)
                    self.end_headers()
                    return
                self.send_response(outer.status)
                size = len(outer.body) if outer.declared is None else outer.declared
                headers = {"Content-Length": str(size)} | outer.headers
                if outer.etag:
                    headers["ETag"] = outer.etag
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                outer.bodies_sent += 1
                self.wfile.write(outer.body)

            def log_message(self, *arguments: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/data.zip"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def zip_path(tmp_path: Path) -> Path:
    files = {f"brain/{name}": data for name, data in data_set_files(1).items()}
    return write_zip(tmp_path / "data.zip", files)


def _code(source: str, cache: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        locate_data(source, cache, **options)  # type: ignore[arg-type]
    assert caught.value.message
    assert caught.value.hint
    return caught.value.code


def test_a_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    write_files(tmp_path / "data", data_set_files(1))
    assert locate_data(str(tmp_path / "data"), tmp_path / "cache") == tmp_path / "data"
    assert not (tmp_path / "cache").exists()


def test_a_zip_is_unpacked_once_and_used_again(zip_path: Path, tmp_path: Path) -> None:
    root = locate_data(str(zip_path), tmp_path / "cache")
    assert len(index_images(root)) == 8
    image = root / "Training" / "glioma" / "0.png"
    before = image.stat()
    assert locate_data(str(zip_path), tmp_path / "cache") == root
    after = image.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_zip_that_changed_is_unpacked_anew(zip_path: Path, tmp_path: Path) -> None:
    old = locate_data(str(zip_path), tmp_path / "cache")
    write_zip(zip_path, data_set_files(2))
    new = locate_data(str(zip_path), tmp_path / "cache")
    assert new != old
    assert len(index_images(new)) == 16


@pytest.mark.parametrize("damage", ["missing", "cut", "extra", "unfinished"])
def test_a_cache_that_is_not_whole_is_never_used(
    damage: str, zip_path: Path, tmp_path: Path
) -> None:
    root = locate_data(str(zip_path), tmp_path / "cache")
    image = root / "Training" / "glioma" / "0.png"
    whole = image.read_bytes()
    if damage == "missing":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(whole[:-1])
    elif damage == "extra":
        (image.parent / "1.png").write_bytes(whole)
    else:
        (root.parent / ".complete.json").unlink()
    assert locate_data(str(zip_path), tmp_path / "cache") == root
    assert image.read_bytes() == whole
    assert len(index_images(root)) == 8


def test_a_refused_zip_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bad.zip", data_set_files(1) | {"../evil.txt": b"x"})
    for _ in range(2):
        assert _code(str(path), tmp_path / "cache") == "unsafe-zip"
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_the_limits_reach_the_unpacking(zip_path: Path, tmp_path: Path) -> None:
    limits = UnpackLimits(max_members=2)
    assert _code(str(zip_path), tmp_path / "cache", limits=limits) == "zip-bomb"


def test_the_cache_is_where_the_environment_says(
    zip_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_CNN_CACHE", str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere") in locate_data(str(zip_path)).parents
    monkeypatch.delenv("BRAIN_CNN_CACHE")
    assert default_cache() == Path.home() / ".cache" / "brain-cnn"


def test_nothing_there_and_not_a_zip_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"hello")
    assert _code(str(tmp_path / "none"), tmp_path / "cache") == "data-not-found"
    assert _code(str(tmp_path / "a.zip"), tmp_path / "cache") == "not-a-zip"


def test_a_link_to_a_zip_is_fetched(server: Server, zip_path: Path, tmp_path: Path) -> None:
    server.body = zip_path.read_bytes()
    assert len(index_images(locate_data(server.url, tmp_path / "cache"))) == 8


@pytest.mark.parametrize("etag", ['"v1"', None])
def test_a_download_is_used_again_while_the_servers_fingerprint_matches(
    etag: str | None, server: Server, zip_path: Path, tmp_path: Path
) -> None:
    server.body, server.etag = zip_path.read_bytes(), etag
    root = locate_data(server.url, tmp_path / "cache")
    (download,) = (tmp_path / "cache" / "downloads").glob("*.zip")
    before = download.stat()
    assert locate_data(server.url, tmp_path / "cache") == root
    after = download.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    if etag:
        assert server.bodies_sent == 1


@pytest.mark.parametrize("etags", [('"v1"', '"v2"'), (None, None)])
def test_a_file_that_changed_on_the_server_is_fetched_anew(
    etags: tuple[str | None, str | None], server: Server, zip_path: Path, tmp_path: Path
) -> None:
    server.body, server.etag = zip_path.read_bytes(), etags[0]
    locate_data(server.url, tmp_path / "cache")
    write_zip(zip_path, data_set_files(2))
    server.body, server.etag = zip_path.read_bytes(), etags[1]
    assert len(index_images(locate_data(server.url, tmp_path / "cache"))) == 16


def test_a_damaged_download_is_never_used_again(
    server: Server, zip_path: Path, tmp_path: Path
) -> None:
    server.body, server.etag = zip_path.read_bytes(), '"v1"'
    root = locate_data(server.url, tmp_path / "cache")
    (download,) = (tmp_path / "cache" / "downloads").glob("*.zip")
    download.write_bytes(download.read_bytes()[:-100])
    assert locate_data(server.url, tmp_path / "cache") == root
    assert server.bodies_sent == 2
    assert download.read_bytes() == server.body


def test_a_missing_page_is_said(server: Server, tmp_path: Path) -> None:
    server.status, server.body = 404, b"gone"
    with pytest.raises(DatasetError, match="404"):
        locate_data(server.url, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/zip"])
def test_a_web_page_instead_of_a_zip_is_said(kind: str, server: Server, tmp_path: Path) -> None:
    server.body, server.headers = b"<!DOCTYPE html><p>Log in", {"Content-Type": kind}
    with pytest.raises(DatasetError, match="web page") as caught:
        locate_data(server.url, tmp_path / "cache")
    assert caught.value.code == "not-a-zip"
    assert not list((tmp_path / "cache" / "downloads").iterdir())


def test_a_download_that_is_cut_short_is_said_and_dropped(
    server: Server, zip_path: Path, tmp_path: Path
) -> None:
    server.body = zip_path.read_bytes()
    server.declared = len(server.body) + 10
    assert _code(server.url, tmp_path / "cache") in ("download-cut-short", "url-failed")
    assert not list((tmp_path / "cache" / "downloads").glob("*.zip"))


def test_a_server_that_does_not_answer_is_said(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.close()
    assert _code(url, tmp_path / "cache") == "url-failed"


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a.zip", "ftp://example.org/a.zip", "file:///etc/passwd", "https:///a.zip"],
)
def test_only_https_is_fetched_from_elsewhere(url: str, tmp_path: Path) -> None:
    assert _code(url, tmp_path / "cache") == "url-refused"


def test_a_redirect_cannot_leave_https(server: Server, tmp_path: Path) -> None:
    server.status, server.headers = 302, {"Location": "http://example.org/a.zip"}
    assert _code(server.url, tmp_path / "cache") == "url-refused"


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/file/d/1AbC_dEf-123456789/view?usp=sharing",
        "https://drive.google.com/file/d/1AbC_dEf-123456789/view",
        "https://drive.google.com/file/d/1AbC_dEf-123456789",
        "https://drive.google.com/file/u/0/d/1AbC_dEf-123456789/edit",
        "https://drive.google.com/open?id=1AbC_dEf-123456789",
        "https://drive.google.com/uc?export=download&id=1AbC_dEf-123456789",
        "https://docs.google.com/uc?id=1AbC_dEf-123456789",
    ],
)
def test_drive_share_links_give_their_file(link: str) -> None:
    assert drive_file_id(link) == "1AbC_dEf-123456789"


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/drive/folders/1AbC_dEf-123456789?usp=sharing",
        "https://drive.google.com/drive/u/0/folders/1AbC_dEf-123456789",
        "https://drive.google.com/folderview?id=1AbC_dEf-123456789",
    ],
)
def test_a_drive_folder_is_refused_in_plain_words(link: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="names a folder, not a file") as caught:
        locate_data(link, tmp_path)
    assert "one ZIP" in caught.value.hint


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/",
        "https://drive.google.com/drive/my-drive",
        "https://drive.google.com/file/d/../../etc/view",
        "https://drive.google.com/open?id=../../../../etc/passwd",
    ],
)
def test_a_drive_link_without_a_file_is_refused(link: str, tmp_path: Path) -> None:
    assert _code(link, tmp_path) == "drive-link"


LINK = "https://drive.google.com/file/d/1AbC_dEf-123456789/view"


def test_a_drive_file_is_fetched_once(zip_path: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def downloader(file_id: str, target: Path) -> None:
        asked.append(file_id)
        target.write_bytes(zip_path.read_bytes())

    for _ in range(2):
        root = locate_data(LINK, tmp_path / "cache", drive_downloader=downloader)
        assert len(index_images(root)) == 8
    assert asked == ["1AbC_dEf-123456789"]


def test_what_drive_says_instead_of_the_file_is_not_kept(tmp_path: Path) -> None:
    def page(_: str, target: Path) -> None:
        target.write_bytes(b"<html>Quota exceeded</html>")

    def failure(_: str, __: Path) -> None:
        raise RuntimeError("permission denied")

    def nothing(_: str, __: Path) -> None:
        return

    cache = tmp_path / "cache"
    assert _code(LINK, cache, drive_downloader=page) == "not-a-zip"
    assert _code(LINK, cache, drive_downloader=failure) == "drive-failed"
    assert _code(LINK, cache, drive_downloader=nothing) == "drive-failed"
    assert not list((cache / "downloads").iterdir())
