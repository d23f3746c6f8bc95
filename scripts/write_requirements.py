"""Write requirements*.txt from the lists in pyproject.toml, the one place where packages are named.

python scripts/write_requirements.py            (make lock runs it, then locks the versions)
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirements() -> dict[str, str]:
    """Return the text of each file by its name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    extras = project["optional-dependencies"]
    lists: dict[str, tuple[str, list[str]]] = {
        "requirements-serve.txt": (
            "The server and the container, without TensorFlow.",
            project["dependencies"],
        ),
        "requirements.txt": (
            "The app, training and evaluation. Python 3.11 to 3.13.",
            ["-r requirements-serve.txt", *extras["train"]],
        ),
        "requirements-cluster.txt": (
            "Archives on several processes or machines, Parquet, training on JAX devices.",
            extras["cluster"],
        ),
        "requirements-dev.txt": (
            "What `make test` and `make lint` need.",
            [
                "-r requirements.txt",
                "-r requirements-cluster.txt",
                *settings["dependency-groups"]["dev"],
            ],
        ),
        "requirements-bench.txt": (
            "More engines for `make bench` to compare.",
            ["-r requirements-dev.txt", *extras["bench"]],
        ),
    }
    return {
        name: f"# {what} Written from pyproject.toml: make lock.\n" + "\n".join(lines) + "\n"
        for name, (what, lines) in lists.items()
    }


def main() -> int:
    """Run the command; return its exit status."""
    for name, text in requirements().items():
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
