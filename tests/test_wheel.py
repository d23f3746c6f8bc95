"""What `pip install` brings serves and judges, far from any checkout."""

import os
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile

import pytest
from conftest import ROOT, Server, upload_to


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # hatchling itself and nothing around it: no other environment, no network.
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the bin folder of an environment with the wheel in it.

    The packages that it depends on are those of the tests: a line in a .pth file adds their
    folder, after the environment's own.
    """
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=120)
    python = home / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python),
            *("install", "--quiet", "--no-deps", "--no-index", wheel),
        ],
        check=True,
        timeout=300,
    )
    paths = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (own,) = home.glob("lib/python*/site-packages")
    (own / "tests_packages.pth").write_text("\n".join(paths) + "\n")
    return home / "bin"


@pytest.fixture
def far_away(tmp_path, monkeypatch):
    """Work in an empty folder, with nothing that leads to the checkout."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(("BRAIN_CNN_", "PYTHON"))]:
        monkeypatch.delenv(name)
    return tmp_path


def test_the_wheel_holds_what_is_served_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("templates", "static"):
        shipped = {p for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {f"brain_cnn/resources/{p.relative_to(ROOT)}" for p in shipped} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"brain_cnn"}
    assert "brain_cnn/py.typed" in names
    assert not [name for name in names if "predictions/" in name or "__pycache__" in name]


def test_predict_prints_a_row(installed, far_away, phantom_png):
    (far_away / "slice.png").write_bytes(phantom_png)
    done = subprocess.run(
        [installed / "brain-cnn", "predict", "slice.png"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "slice.png" in done.stdout


def test_serve_answers_a_slice_and_shows_every_page(installed, far_away, phantom_png):
    log = far_away / "log.txt"
    server = Server(log, [str(installed / "brain-cnn"), "serve"], cwd=far_away)
    try:
        server.wait_ready()
        (result,) = upload_to(server.url, phantom_png)["results"]
        assert sum(result["probabilities"].values()) == pytest.approx(1)
        for path in ("/", "/model", "/model/figures/reliability_ours.svg", "/static/js/main.js"):
            with urllib.request.urlopen(server.url + path, timeout=30) as answer:
                assert answer.status == 200 and answer.read()
    finally:
        server.stop()


def test_the_library_and_the_model_are_the_installed_ones(installed, far_away):
    code = (
        "import brain_cnn, importlib.metadata as m\n"
        "print(brain_cnn.__file__, brain_cnn.load_classifier().bundle.path)\n"
        "assert m.version('brain-cnn') == brain_cnn.__version__\n"
    )
    done = subprocess.run(
        [installed / "python", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    home = str(installed.parent)
    assert [path.startswith(home) for path in done.stdout.split()] == [True, True]
