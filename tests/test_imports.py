"""Arrows between the rooms run one way, and serving never loads what training needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "brain_cnn"

# From the bottom up: a room may import those before it. What is not listed is of the
# training side (or `explain`, `render.figures`), which may import everything but the web.
SERVING = (
    "errors",
    "labels",
    "published",
    "cores",
    "scan",
    "preprocess",
    "explain.without",
    "diagnosis",
    "familiarity.describe",
    "familiarity.gate",
    "familiarity.features",
    "familiarity.trust",
    "conformal",
    "calibration",
    "bundle",
    "engine",
    "study",
    "classifier",
    "render.overlay",
    "render.place",
    "render.study_json",
    "render.csv_table",
    "render.pdf_tags",
    "render.pdf_page",
    "render.report",
    "web",
)
# Drawn heads are base material, for training and serving alike.
SHARED = ("phantoms",)
HEAVY = {"tensorflow", "keras", "sklearn", "matplotlib", "scipy", "jax", "torch"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports_of(path, anywhere=True):
    """Yield the names imported; `anywhere` includes those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module):
    """Return the place in `SERVING` of a module, or None if it is not of the serving side."""
    inner = module.removeprefix("brain_cnn.")
    for place, room in enumerate(SERVING):
        if inner == room or inner.startswith(room + "."):
            return place
    return None


def is_known(name):
    """Whether `name` is a module of ours (and not a function in one)."""
    return (ROOT / Path(*name.split("."))).with_suffix(".py").is_file() or (
        ROOT / Path(*name.split(".")) / "__init__.py"
    ).is_file()


SERVING_MODULES = [(name, path) for name, path in modules() if room_of(name) is not None]


def test_every_room_is_there():
    found = {room_of(name) for name, _ in SERVING_MODULES}
    assert found == set(range(len(SERVING)))


@pytest.mark.parametrize(("name", "path"), SERVING_MODULES, ids=[n for n, _ in SERVING_MODULES])
def test_arrows_run_one_way(name, path):
    for target in imports_of(path):
        if not target.startswith("brain_cnn.") or not is_known(target):
            continue
        if target in ("brain_cnn.render", *(f"brain_cnn.{room}" for room in SHARED)):
            continue
        room = room_of(target)
        assert room is not None, f"{name} is of the serving side and imports {target}"
        assert room <= room_of(name), f"{name} imports {target}, which is above it"


@pytest.mark.parametrize(("name", "path"), SERVING_MODULES, ids=[n for n, _ in SERVING_MODULES])
def test_serving_imports_nothing_heavy_at_the_top(name, path):
    roots = {target.partition(".")[0] for target in imports_of(path, anywhere=False)}
    assert not roots & HEAVY


def test_only_the_web_knows_flask():
    for name, path in modules():
        roots = {target.partition(".")[0] for target in imports_of(path)}
        if not name.startswith("brain_cnn.web"):
            assert not roots & {"flask", "werkzeug"}, name


def test_nothing_imports_the_web():
    for name, path in modules():
        if not name.startswith("brain_cnn.web"):
            assert not any(t.startswith("brain_cnn.web") for t in imports_of(path)), name


def run_fresh(code):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_first_diagnosis_loads_no_training_package():
    output = run_fresh(
        "import io, sys\n"
        "from app import app\n"
        "from PIL import Image\n"
        "from brain_cnn.phantoms import draw_phantom\n"
        "file = io.BytesIO(); Image.fromarray(draw_phantom('glioma', 1)).save(file, 'PNG')\n"
        "for url in ('/', '/api/v1/predict?heatmap=png'):\n"
        "    part = (io.BytesIO(file.getvalue()), 'a.png')\n"
        "    assert app.test_client().post(url, data={'file': part}).status_code == 200\n"
        "loaded = {'tensorflow', 'keras', 'sklearn', 'matplotlib.pyplot', 'scipy', 'onnx'}\n"
        "loaded |= {'onnxruntime', 'requests', 'pydantic'}\n"
        "print(sorted(loaded & set(sys.modules)))\n"
    )
    assert output.strip() == "[]"


def test_package_itself_is_light():
    output = run_fresh(
        "import sys, brain_cnn\n"
        "heavy = {'numpy', 'cv2', 'PIL', 'flask', 'onnxruntime', 'ncnn'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert output.strip() == "[]"


def test_library_works_without_flask():
    run_fresh(
        "import sys\n"
        "sys.modules['flask'] = None\n"
        "from brain_cnn import load_classifier, read_scan\n"
        "load_classifier().self_test()\n"
    )


def test_no_file_is_longer_than_a_person_reads():
    for folder in ("brain_cnn", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 350, f"{path.relative_to(ROOT)} has {lines} lines"
