"""What the README and the docs show runs, and what they list is there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from brain_cnn.web.settings import PREFIX, Settings

DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "SECURITY.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]  # fmt: skip
OPTION = re.compile(r"--[a-z][a-z-]+")


def read(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(language, document="README.md"):
    return re.findall(rf"```{language}\n(.*?)```", read(document), re.DOTALL)


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


def test_readme_is_short():
    assert len(read("README.md").splitlines()) <= 130


def test_python_example_prints_what_the_readme_shows(folder):
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line]) == 5
    shown, printed = blocks("text")[0], run_python(example, folder)
    number = r"\d\.\d+"
    assert re.sub(number, "#", shown) == re.sub(number, "#", printed)
    pairs = zip(re.findall(number, shown), re.findall(number, printed), strict=True)
    # Another processor may round the last digit the other way.
    assert all(abs(float(a) - float(b)) < 0.011 for a, b in pairs)


def test_longer_python_example_runs(folder):
    (example,) = [b for b in blocks("python", "docs/python.md") if "load_classifier" in b]
    assert "(224, 224) (224, 224)" in run_python(example, folder)


def test_gradcam_example_runs_on_the_shipped_model(folder):
    pytest.importorskip("tensorflow")
    setup, example = [b for b in blocks("python", "docs/python.md") if "load_classifier" not in b]
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
    (example,) = blocks("python", "docs/api.md")
    example = example.replace("http://127.0.0.1:8000", server.url)
    assert run_python(example, folder).startswith(("confident", "uncertain", "unfamiliar"))
    (folder / "slice.png").write_bytes(b"junk")
    assert "not an image" in run_python(example, folder).lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_curl_example_gets_what_is_documented(folder, server, document):
    (command,) = [block for block in blocks("sh", document) if block.startswith("curl")]
    command = command.replace("http://127.0.0.1:8000", server.url)
    result = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60
    )
    (answer,) = json.loads(result.stdout)["results"]
    (documented,) = json.loads(blocks("json", "docs/api.md")[0])["results"]
    assert set(answer) == set(documented)
    assert set(answer["slices"][0]) == set(documented["slices"][0])
    shown = re.findall(r'^(?:\{"results": \[\{| +)"(\w+)":', blocks("text")[1], re.MULTILINE)
    assert len(shown) >= 5 and set(shown) <= set(answer)


def test_every_setting_is_in_the_table_with_its_default():
    rows = dict(
        re.findall(r"^\| `(BRAIN_CNN_\w+)` \| (.*?) \|", read("docs/settings.md"), re.MULTILINE)
    )
    expected = {PREFIX + name.upper(): value for name, value in vars(Settings()).items()}
    assert list(rows) == list(expected)
    for name, value in expected.items():
        assert rows[name] == (f"`{value}`" if value != "" else "empty"), name


def test_every_route_field_and_parameter_is_in_the_page_of_the_api(client):
    text = read("docs/api.md")
    document = client.get("/api/v1/openapi.json").json
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            section = text.partition(f"### `{method.upper()} {path}`\n")[2].partition("\n### ")[0]
            names = [one["name"] for one in operation["parameters"]]
            if "requestBody" in operation:
                form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
                names += form["properties"]
            for name in [*names, *operation["responses"]]:
                assert f"| `{name}` |" in section, (path, name)
    for name, schema in document["components"]["schemas"].items():
        section = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        for field in schema["properties"]:
            assert f"| `{field}` |" in section, (name, field)
    for address in ("/healthz", "/readyz", "/metrics", "/api"):
        assert client.get(address).status_code == 200
        assert f"`GET {address}`" in text


@pytest.mark.parametrize(
    ("command", "document"),
    [("predict", "docs/command-line.md"), ("train", "docs/training.md")],
)
def test_every_option_of_a_command_is_documented(command, document):
    script = ROOT / "scripts" / f"{command}.py"
    shown = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True
    ).stdout
    documented = {
        option
        for row in re.findall(r"^\| (`--.*?) \|", read(document), re.MULTILINE)
        for option in OPTION.findall(row)
    }
    offered = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE)) - {"--help"}
    assert documented == offered


def test_every_key_of_the_page_is_documented():
    keys = set(re.findall(r"<kbd>(.*?)</kbd>", read("templates/_keys.html")))
    assert len(keys) > 20
    documented = set(re.findall(r"`(\S+(?: [↑↓])?)`", read("docs/page.md").partition("## Keys")[2]))
    assert keys <= documented


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = read(document)
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target
    for target in re.findall(r"`((?:brain_cnn|scripts|tests|static)/[\w/]+\.\w+)`", text):
        assert (ROOT / target).is_file(), target
    for target in re.findall(r"python (scripts/[\w/]+\.py)", text):
        assert (ROOT / target).is_file(), target
    for target in re.findall(r"\bmake ([a-z]+)\b(?=[^`\n]*`|\s+[A-Z]+=|\s+#)", text):
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target


def test_every_page_of_the_docs_can_be_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", read("README.md")))
    assert linked == {name for name in DOCUMENTS if name.startswith("docs/")}


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
