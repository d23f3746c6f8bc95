"""What a file is called never matters: its content arrives, on the page and the API."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import client_of

ROOT = Path(__file__).resolve().parents[2]

NAMES = {
    "Latin-1": "schädel.png".encode("latin-1"),
    "GB2312": "脑.png".encode("gb2312"),
    "CP1251": "мозг.png".encode("cp1251"),
    "Shift-JIS": "脳表.png".encode("shift-jis"),
    "Shift-JIS that ends in a backslash": "脳表".encode("shift-jis"),
    "UTF-8": "脑.png".encode(),
    "bytes": bytes(range(128, 256)),
    "control": b"a\tb\x01.png",
    "long": b"x" * 5000,
    "empty": b"",
}


def form(parts):
    """Return the body of a form; each part is (headers, content)."""
    return b"".join(b"--XX\r\n" + h + b"\r\n\r\n" + c + b"\r\n" for h, c in parts) + b"--XX--\r\n"


def post(client, body, url="/api/v1/predict"):
    return client.post(url, data=body, content_type="multipart/form-data; boundary=XX")


def part(name, content):
    header = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'
    return header + b"\r\nContent-Type: image/png", content


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_file_is_read_whatever_its_name(client, phantom_png, name):
    body = form([part(name, phantom_png)])
    assert post(client, body).json["results"][0]["label"]
    assert post(client, body, "/").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b'Content-Disposition: form-data; name="file"',
        b"Content-Disposition: form-data; name=file",
        b'Content-Disposition: form-data; name="file"; filename="',
    ],
)
def test_part_without_a_name_but_with_content_is_read(client, phantom_png, header):
    body = form([(header + b"\r\nContent-Type: image/png", phantom_png)])
    assert post(client, body).json["results"][0]["label"]


def test_names_of_all_kinds_in_one_form_keep_their_order_and_fields(client, phantom_png):
    files = [part(name, phantom_png if place % 2 else b"junk") for place, name in enumerate(
        NAMES.values())]  # fmt: skip
    field = (b'Content-Disposition: form-data; name="plane"', b"coronal")
    results = post(client, form([*files, field])).json["results"]
    assert ["label" in result for result in results] == [bool(n % 2) for n in range(len(files))]
    wrong = (b'Content-Disposition: form-data; name="plane"', "schräg".encode("latin-1"))
    assert post(client, form([*files, wrong])).status_code == 400


def test_no_file_is_still_said(client):
    for body in (form([part(b"", b"")]), form([(part(b"", b"")[0], b"")])):
        answer = post(client, body)
        assert answer.status_code == 400 and "No file was sent" in answer.text


def test_form_that_is_cut_is_no_file(client, phantom_png):
    body = form([part(b"a.png", phantom_png)])[:-20]
    assert post(client, body).status_code == 400


def test_limits_of_a_form_hold(classifier, phantom_png):
    client = client_of(classifier, max_files=2)
    assert post(client, form([part(b"\xff", phantom_png)] * 3)).status_code == 413
    long = (b'Content-Disposition: form-data; name="plane"', b"x" * 2_000_000)
    assert post(client, form([long, part(b"a", phantom_png)])).status_code == 413


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]], ids=["table", "csv", "json"])
def test_unprintable_name_never_costs_the_table(tmp_path, phantom_png, encoding, form):
    for name in (b"a.png", b"sch\xe4del.png", "脑.png".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(phantom_png)
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "predict.py"), *form, str(tmp_path)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(b".png") >= 3
