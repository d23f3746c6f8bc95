"""What is shipped beside the code: templates, static files, the model, gunicorn's settings.

In a checkout these lie at the top of the repository, where people look for them. A wheel
carries them in this folder (`pyproject.toml` says so). Nothing else asks where they are.
Imports nothing of the package.
"""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent
_CHECKOUT = _INSTALLED.parents[1]


def resource(name: str) -> Path:
    """Return the place of a shipped file or folder, whatever the working directory.

    Args:
        name: as in the repository: `"templates"`, `"static"`, `"models/brain_cnn"` or
            `"gunicorn.conf.py"`.

    Returns:
        Its place in the installed package if it is there, else in the repository. It need
        not exist: who opens it says what is missing, and what to do.
    """
    installed = _INSTALLED / name
    return installed if installed.exists() else _CHECKOUT / name
