"""`brain-cnn`: one way in, light for who needs little, plain for who lacks something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Server, upload_to

import brain_cnn
from brain_cnn.cli import COMMANDS

SCRIPTS = {
    "predict": "predict.py",
    "train": "train.py",
    "calibrate": "calibrate.py",
    "evaluate": "evaluate.py",
    "measure": "measure.py",
    "inspect": "inspect_data.py",
}


def run(*arguments, code=None, status=0):
    """Run the entry point, or `code` in its place, from another folder."""
    start = ["-c", code] if code else ["-m", "brain_cnn.cli"]
    done = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_lists_its_options_under_its_own_name(command):
    assert f"usage: brain-cnn {command}" in run(command, "--help")


def test_help_lists_every_command_and_the_version_is_the_packages():
    listed = run("--help")
    for command in COMMANDS.values():
        assert command.summary in listed
    assert run("--version").strip() == f"brain-cnn {brain_cnn.__version__}"


def test_an_unknown_command_is_named_with_those_that_exist():
    said = run("predit", status=2)
    assert "'predit'" in said and "'predict'" in said


@pytest.mark.parametrize(("command", "script"), SCRIPTS.items())
def test_the_script_of_a_command_has_the_same_options(command, script):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--help"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    options = {word for word in run(command, "--help").split() if word.startswith("--")}
    assert options == {word for word in done.stdout.split() if word.startswith("--")}


def test_without_the_training_packages_the_way_to_get_them_is_said():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'matplotlib', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        "from brain_cnn.cli import main\n"
        "sys.exit(main(['train', '--smoke', '--run-dir', sys.argv[1]]))\n"
    )
    said = run("/dev/null/run", code=code, status=2)
    assert "pip install 'brain-cnn[train]'" in said and "Traceback" not in said


def test_to_judge_a_file_loads_no_web_framework_and_no_training():
    code = (
        "import sys\n"
        "from brain_cnn.cli import main\n"
        "status = main(['predict', sys.argv[1]])\n"
        "heavy = {'flask', 'gunicorn', 'tensorflow', 'keras', 'sklearn', 'matplotlib', 'scipy'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))\n"
        "sys.exit(status)\n"
    )
    sample = ROOT / "static" / "samples" / "mni152.png"
    assert "loaded []" in run(sample, code=code)


def test_serve_becomes_gunicorn_and_answers_a_slice(tmp_path, phantom_png):
    server = Server(tmp_path / "log.txt", [sys.executable, "-m", "brain_cnn.cli", "serve"])
    try:
        server.wait_ready()
        (result,) = upload_to(server.url, phantom_png)["results"]
        assert result["model"]["name"] and sum(result["probabilities"].values()) > 0.99
        process = Path(f"/proc/{server.process.pid}")
        assert b"glibc.malloc.hugetlb=1" in (process / "environ").read_bytes()
    finally:
        server.stop()
    assert server.process.returncode == 0, "the signal reaches gunicorn itself"
