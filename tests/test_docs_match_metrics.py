"""No number in a document differs from metrics.json; a missing model is a failure."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "write_docs.py"
CARD = ROOT / "models" / "brain_cnn" / "MODEL_CARD.md"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def interval(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def made_up_metrics(accuracy=0.9123):
    metric = interval(accuracy)
    row = {"precision": metric, "recall": metric, "f1": metric, "auc": metric, "support": 7}
    result = {
        "n": 28,
        "groups": 11,
        "per_class": dict.fromkeys(("glioma", "meningioma", "notumor", "pituitary"), row),
        "tumour_called_notumor": interval(0.05),
        "ece": interval(0.03),
        **dict.fromkeys(("accuracy", "macro_precision", "macro_recall", "macro_f1"), metric),
        "macro_auc": metric,
    }
    return {"protocol": {"sentence": "Patients apart.", "leaky": False, "ours": result}}


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "DOC.md"
    path.write_text(
        "# Title\n\nBy hand: 0.1.\n\n<!-- BEGIN GENERATED summary -->\nold\n"
        "<!-- END GENERATED summary -->\n\nBy hand too.\n"
    )
    return path


def write_metrics(tmp_path, metrics):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(metrics))
    return path


def test_readme_and_model_card_match_the_shipped_metrics():
    result = run("--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_readme_shows_the_results_in_a_generated_region():
    assert "<!-- BEGIN GENERATED summary -->" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        ("results", ("summary", "four-numbers", "localisation")),
        ("settings", ("settings",)),
        ("verdict", ("verdicts",)),
        ("api", ("api-answer", "api-routes", "api-shapes")),
    ],
)
def test_pages_of_the_docs_are_written_from_metrics_and_program(name, regions):
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert [r for r in regions if f"<!-- BEGIN GENERATED {r} -->" not in text] == []


def test_model_card_has_every_section_of_mitchell_et_al():
    text = CARD.read_text(encoding="utf-8")
    for heading in (
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ):
        assert f"\n## {heading}\n" in text
    for name in ("training", "summary", "protocol", "official", "localisation"):
        assert f"<!-- BEGIN GENERATED {name} -->" in text
    assert "CC BY 4.0" in text
    assert "CC0" in text
    assert "Not a medical device" in text


def test_model_card_leaves_no_number_unmeasured():
    assert "Not measured yet" not in CARD.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "document",
    [
        CARD,
        ROOT / "README.md",
        *(ROOT / "docs" / f"{name}.md" for name in ("api", "page", "results", "settings", "study")),
    ],
    ids=lambda path: path.name,
)
def test_measured_numbers_are_typed_in_generated_regions_only(document):
    """A number like 0.93 or 93.2 % outside the regions would rot."""
    outside = re.sub(
        r"<!-- BEGIN GENERATED.*?<!-- END GENERATED [\w-]+ -->",
        "",
        document.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert re.findall(r"(?<![\w.])0\.\d{2,}|\d+\.\d+ ?%", outside) == []


def test_check_finds_a_number_that_differs(tmp_path, document):
    metrics = write_metrics(tmp_path, made_up_metrics())
    assert run("--check", "--metrics", metrics, document).returncode == 1
    assert "old" in document.read_text()  # check writes nothing
    assert run("--metrics", metrics, document).returncode == 0
    assert run("--check", "--metrics", metrics, document).returncode == 0
    text = document.read_text()
    assert "0.912 (0.902-0.922)" in text
    assert "28 (11)" in text
    assert "Patients apart." in text
    assert "By hand: 0.1." in text
    assert text.endswith("By hand too.\n")
    write_metrics(tmp_path, made_up_metrics(accuracy=0.7))
    assert run("--check", "--metrics", metrics, document).returncode == 1


def test_a_leaky_split_is_called_leaky_wherever_it_is_shown(tmp_path, document):
    protocol = made_up_metrics()["protocol"]
    metrics = {"official": {**protocol, "sentence": "Copies across.", "leaky": True}}
    document.write_text(document.read_text().replace("GENERATED summary", "GENERATED official"))
    run("--metrics", write_metrics(tmp_path, metrics), document)
    assert "Leaky split" in document.read_text()
    assert "Copies across." in document.read_text()
    document.write_text(document.read_text().replace("GENERATED official", "GENERATED summary"))
    run("--metrics", tmp_path / "metrics.json", document)
    assert "official (leaky)" in document.read_text()


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("GENERATED summary", "GENERATED sumary", "sumary"),
        ("<!-- END GENERATED summary -->\n", "", "partner"),
    ],
)
def test_a_broken_region_stops_with_its_name(tmp_path, document, old, new, word):
    document.write_text(document.read_text().replace(old, new))
    result = run("--metrics", write_metrics(tmp_path, made_up_metrics()), document)
    assert result.returncode == 2
    assert word in result.stderr


def test_missing_metrics_are_an_error(tmp_path, document):
    result = run("--check", "--metrics", tmp_path / "absent.json", document)
    assert result.returncode == 2
    assert "absent.json" in result.stderr
