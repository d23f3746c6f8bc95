"""A setting that nobody may read in a log."""

from __future__ import annotations

import hmac


class Secret:
    """A text that nothing shows by accident: not `repr`, `str`, a format, a log, a dump.

    Args:
        text: the secret, "" for none.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret = "") -> None:
        self._text: str = text._text if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "'(set)'" if self._text else "''"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret | str):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), Secret(other)._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


NO_SECRET = Secret()
