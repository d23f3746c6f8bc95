"""What the README shows runs, and what it lists is there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from brain_cnn.web.settings import PREFIX, Settings

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path, phantom_png, classifier):
    """Return a folder as the examples expect: slice.png, and the model in its usual place."""
    (tmp_path / "slice.png").write_bytes(phantom_png)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "brain_cnn").symlink_to(classifier.bundle.path.resolve())
    return tmp_path


def run_python(code, folder):
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_python_example_runs(folder):
    (example,) = [block for block in blocks("python") if "load_classifier" in block]
    assert "(224, 224) (224, 224)" in run_python(example, folder)


def test_gradcam_example_runs_on_the_shipped_model(folder):
    pytest.importorskip("tensorflow")
    others = ("load_classifier", "requests")
    setup, example = [b for b in blocks("python") if not any(name in b for name in others)]
    assert 'make_gradcam_heatmap(img_array, model, last_conv_layer_name="conv2d_1")' in example
    output = run_python(
        "import matplotlib; matplotlib.use('Agg')\n"
        + setup
        + example
        + "print(heatmap.ndim, heatmap.min() >= 0, heatmap.max() <= 1)",
        folder,
    )
    assert output.strip().endswith("2 True True")


def test_api_example_runs(folder, server):
    pytest.importorskip("requests")
    (example,) = [block for block in blocks("python") if "requests" in block]
    example = example.replace("http://127.0.0.1:8000", server.url)
    assert run_python(example, folder).startswith(("confident", "uncertain", "unfamiliar"))
    (folder / "slice.png").write_bytes(b"junk")
    assert "not an image" in run_python(example, folder).lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_example_gets_what_is_documented(folder, server):
    (command,) = [block for block in blocks("sh") if block.startswith("curl")]
    command = command.replace("http://127.0.0.1:8000", server.url)
    result = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60
    )
    (answer,) = json.loads(result.stdout)["results"]
    (documented,) = json.loads(blocks("json")[0])["results"]
    assert set(answer) == set(documented)
    assert set(answer["timing_ms"]) == set(documented["timing_ms"])
    assert set(answer["model"]) == set(documented["model"])


def test_every_setting_is_in_the_table_with_its_default():
    rows = dict(re.findall(r"^\| `(BRAIN_CNN_\w+)` \| (.*?) \|", README, re.MULTILINE))
    expected = {PREFIX + name.upper(): value for name, value in vars(Settings()).items()}
    assert list(rows) == list(expected)
    for name, value in expected.items():
        empty = value == ""  # said in a word: "none", "all"
        assert rows[name] == (f"`{value}`" if not empty else rows[name].strip("`")), name


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"`((?:brain_cnn|scripts|tests|static)/[\w/]+\.\w+)`", text):
        assert (ROOT / target).is_file(), target


def test_what_the_makefile_promises_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("serve", "test", "train", "lint"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements-serve.lock", "requirements-dev.lock"])
def test_lock_names_no_host_and_no_machine(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|@ /", text)
    pinned = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))
    wanted = Path(ROOT / name.replace(".lock", ".txt")).read_text()
    assert {r.lower() for r in re.findall(r"^([\w-]+)[>=]", wanted, re.MULTILINE)} <= pinned


def test_each_package_that_is_served_is_locked_to_its_files():
    text = (ROOT / "requirements-serve.lock").read_text()
    packages = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(packages) > 25
    assert [p.split()[0] for p in packages if "--hash=sha256:" not in p] == []


def test_serving_lock_holds_no_tensorflow():
    text = (ROOT / "requirements-serve.lock").read_text()
    assert not re.search(r"^(tensorflow|keras|torch|matplotlib|scikit-learn)==", text, re.MULTILINE)
