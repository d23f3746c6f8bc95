"""Every error that a person can cause: what was wrong, with the value, and what to do.

A message is one or two sentences for a reader who did not write the program. It never
holds a file name, a patient tag or a path of the server.
"""

from __future__ import annotations

from typing import Any


class BrainCnnError(Exception):
    """Base of the errors below.

    Attributes:
        code: short stable identifier in kebab-case, for programs ("image-too-large").
        message: one sentence that says what was wrong, with the value that was wrong.
        hint: one sentence that says what to do.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive `pickle`, with all attributes: errors come back from other processes."""
        return type(self), (self.code, self.message, self.hint), self.__dict__


class ScanError(BrainCnnError):
    """An uploaded file cannot be read as a scan.

    Attributes:
        status: the HTTP status that says the same (413 too large, 415 not an image that
            we read, 422 an image that is damaged or refused).
    """

    def __init__(self, code: str, message: str, hint: str = "", *, status: int = 422) -> None:
        super().__init__(code, message, hint)
        self.status = status


class RegionError(ScanError):
    """A region of a slice cannot be filled: it is malformed (400) or does not fit (422)."""


class DatasetError(BrainCnnError):
    """A data set (folder, ZIP, link, protocol CSV) cannot be used for training."""


class BundleError(BrainCnnError):
    """A model folder is missing, damaged, or made by an incompatible version."""


class SettingsError(BrainCnnError):
    """A setting has an unknown name or a value outside its range."""


class LayerNotFoundError(BrainCnnError, ValueError):
    """A Grad-CAM layer name that the model does not have; the message lists those it has."""
