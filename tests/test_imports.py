"""The house: its rooms, the arrows between them, and that serving loads nothing of training.

Arrows run down the list of `ROOMS`, never up; no two modules import each other, however long
the way round; files and functions stay short enough to be read.
"""

import ast
import subprocess
import sys
from functools import cache

import pytest
from conftest import ROOT

PACKAGE = ROOT / "brain_cnn"

# Small modules that import nothing above them.
GROUND = {
    "labels", "errors", "cores", "phantoms", "percentiles", "preprocess", "published", "resources",
}  # fmt: skip
SERVED = {"render", "inference", "ood", "explain", "scan"}
# Room -> the rooms that it may import, beside itself and the ground.
ROOMS: dict[str, set[str]] = {
    **{module: set() for module in GROUND},
    "scan": set(),
    "ood": set(),
    "explain": set(),
    "inference": {"scan", "ood", "explain"},
    "dataset": {"scan"},
    "evaluation": {"inference", "dataset", "ood", "explain", "scan"},
    "training": {"evaluation", "inference", "dataset", "ood", "explain", "scan"},
    "render": {"inference", "scan", "ood", "explain"},
    "batch": SERVED,
    "node": SERVED,
    "web": SERVED,
    # The commands of all rooms; it imports each when it is called.
    "cli": SERVED | {"batch", "node", "web", "dataset", "evaluation", "training"},
}
# Where nothing heavy may be imported before it is needed.
LIGHT = GROUND | SERVED | {"batch", "node", "web", "cli"}
HEAVY = {"tensorflow", "keras", "sklearn", "matplotlib", "scipy", "jax", "torch"}
# Its Grad-CAM needs the gradients of Keras: whoever imports it has said so.
NEEDS_KERAS = {"brain_cnn.explain.gradcam"}

# What is still too long, on the way out: an entry that is short by now fails, too.
LONGEST_FILE = 300
LONGEST_FUNCTION = 60
MOST_PARAMETERS = 7
LONG_FILES = {"scripts/proxy_test.py"}
LONG_FUNCTIONS: set[str] = set()
LONG_SIGNATURES: set[str] = set()


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path, anywhere=True):
    """Yield the names imported; `anywhere` includes functions and what only types need."""
    tree = parsed(path)
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def our_imports(name):
    """Return the modules of ours that a module imports anywhere."""
    return {target for target in imports_of(MODULES[name]) if target in MODULES} - {name}


GRAPH = {name: our_imports(name) for name in MODULES}


def room_of(name):
    """Return the room of a module: the first name below `brain_cnn`; "" for the package itself."""
    return [*name.split("."), ""][1]


def test_every_room_is_in_the_plan():
    unknown = {room_of(name) for name in MODULES} - set(ROOMS) - {""}
    assert not unknown, f"say in ROOMS what may be imported by {sorted(unknown)}"


def test_at_most_eight_modules_lie_beside_the_packages():
    modules = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 8, modules


@pytest.mark.parametrize("name", MODULES)
def test_arrows_run_one_way(name):
    room = room_of(name)
    if room == "":  # the package itself names what others may use
        allowed = {"inference", "scan", "explain"}
    else:
        allowed = ROOMS[room] | GROUND | {room, ""}
        if room in GROUND:
            assert ROOMS[room] == set()
    for target in GRAPH[name]:
        assert room_of(target) in allowed, f"{name} imports {target}"


def test_serving_never_imports_training_evaluation_or_the_data_set():
    """Not even by way of others, wherever the import stands."""
    reached, waiting = set(), [n for n in MODULES if room_of(n) in {"web", "batch", "node", ""}]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += GRAPH[name]
    assert not {n for n in reached if room_of(n) in {"training", "evaluation", "dataset"}}


def circles(graph):
    """Return the strongly connected parts of more than one module (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            place = stack.index(name)
            found.append(sorted(stack[place:]))
            del stack[place:]

    for name in graph:
        if name not in index:
            visit(name)
    return [part for part in found if len(part) > 1]


def test_no_two_modules_import_each_other():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles(GRAPH) == []


WEB = "brain_cnn.web."


def test_nothing_imports_a_view_but_the_app():
    for name, targets in GRAPH.items():
        if name != "brain_cnn.web.app":
            views = {t for t in targets if t.startswith(WEB + "views")}
            assert not views, f"{name} imports {views}"


@pytest.mark.parametrize(
    ("place", "never"),
    [
        ("presenters", ("views", "runtime", "app")),
        ("runtime", ("views", "presenters", "app")),
        ("views", ("app",)),
    ],
)
def test_layers_of_the_web_run_one_way(place, never):
    for name, targets in GRAPH.items():
        if name.startswith(WEB + place):
            upwards = {t for t in targets for part in never if t.startswith(WEB + part)}
            assert not upwards, f"{name} imports {upwards}"


@pytest.mark.parametrize("name", [n for n in MODULES if room_of(n) in LIGHT - NEEDS_KERAS])
def test_serving_imports_nothing_heavy_at_the_top(name):
    if name not in NEEDS_KERAS:
        roots = {t.partition(".")[0] for t in imports_of(MODULES[name], anywhere=False)}
        assert not roots & HEAVY


def test_only_the_web_knows_flask():
    for name, path in MODULES.items():
        roots = {target.partition(".")[0] for target in imports_of(path)}
        if room_of(name) != "web":
            assert not roots & {"flask", "werkzeug"}, name


def test_nothing_imports_the_web():
    for name, targets in GRAPH.items():
        if room_of(name) not in ("web", "cli"):
            assert not any(room_of(target) == "web" for target in targets), name


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
        "loaded |= {'onnxruntime', 'requests'}\n"
        "rooms = ('brain_cnn.training', 'brain_cnn.evaluation', 'brain_cnn.dataset')\n"
        "loaded |= {name for name in sys.modules if name.startswith(rooms)}\n"
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


def sources():
    for folder in ("brain_cnn", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def functions():
    """Yield (file:function, node) of every function of the package and the scripts."""
    for place, path in sources():
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{place}:{node.name}", node


def test_no_file_is_longer_than_a_person_reads():
    long = {
        place
        for place, path in sources()
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    }
    assert long == LONG_FILES


def test_no_function_is_longer_than_a_page():
    long = {name for name, node in functions() if node.end_lineno - node.lineno >= LONGEST_FUNCTION}
    assert long == LONG_FUNCTIONS


def test_no_function_takes_more_than_a_reader_can_hold():
    def count(node):
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        return len(names) - (names[:1] in (["self"], ["cls"]))

    assert {name for name, node in functions() if count(node) > MOST_PARAMETERS} == LONG_SIGNATURES
