"""The project's own files agree: packages, versions, and where they are written down."""

import re
import sys
import tomllib

import pytest
from conftest import ROOT

import brain_cnn

sys.path.insert(0, str(ROOT / "scripts"))

from write_requirements import requirements

LOCKS = ("requirements-serve.lock", "requirements-dev.lock")


def pins(name):
    """Return the versions that a lock allows of each package (several: by Python version)."""
    found = {}
    for package, version in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)", (ROOT / name).read_text(), re.MULTILINE
    ):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("name", requirements())
def test_requirements_are_those_of_pyproject(name):
    assert (ROOT / name).read_text() == requirements()[name], "run: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_locked_to_its_files(name):
    packages = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(packages) > 25
    assert [p.split()[0] for p in packages if "--hash=sha256:" not in p] == []


def test_what_is_tested_is_what_is_served():
    tested, served = (pins(name) for name in reversed(LOCKS))
    assert {name: tested.get(name) for name in served} == served


def test_the_version_is_written_in_one_place():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in settings["project"]["dynamic"]
    assert settings["tool"]["hatch"]["version"]["path"] == "brain_cnn/__init__.py"
    for name in ("Dockerfile", "CITATION.cff", "Makefile", "deploy/compose.yaml"):
        assert brain_cnn.__version__ not in (ROOT / name).read_text(), name


def test_the_changelog_tells_of_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" and headings[1] == brain_cnn.__version__


def test_whoever_cites_finds_title_authors_and_licence():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] and citation["message"] and citation["authors"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert citation["license"] == settings["project"]["license"]


def test_the_workflow_runs_every_python_that_the_package_names():
    import yaml

    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(settings["classifiers"]))
    assert tested == named
