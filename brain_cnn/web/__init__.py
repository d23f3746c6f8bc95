"""The web application: one blueprint a file, put together by `create_app`.

`create_app` and `serve` are imported when they are first used: gunicorn's master process reads
the settings from here and needs no application.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain_cnn.web.app import create_app, serve

__all__ = ["create_app", "serve"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("brain_cnn.web.app"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
