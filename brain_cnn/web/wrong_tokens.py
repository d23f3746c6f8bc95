"""Guesses at the token: few for each address, counted, and logged without the address."""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections import OrderedDict

from werkzeug.exceptions import TooManyRequests

from brain_cnn.web.runtime.logs import LOGGER
from brain_cnn.web.runtime.metrics import Metrics
from brain_cnn.web.runtime.shares import client_key

MOST = 10
WINDOW_S = 60.0
_MOST_ADDRESSES = 10_000
_DAY_S = 24 * 3600


class TooManyTokens(TooManyRequests):
    """429: an address has sent too many wrong tokens; what it sends is not compared.

    Attributes:
        code_name: the problem's `code`.
    """

    code_name = "too-many-wrong-tokens"


class WrongTokens:
    """Counts the wrong tokens of each address, for a minute after its first one.

    Args:
        metrics: that count them too.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        # Of an address: when its minute ends, and its wrong tokens. The oldest is first.
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._salt, self._salt_until = b"", 0.0

    def check(self, address: str | None) -> None:
        """Let an address try.

        Raises:
            TooManyTokens: it has guessed too often.
        """
        now = time.monotonic()
        until, count = self._counts.get(_key(address), (now, 0))
        if count < MOST or until <= now:
            return
        self._metrics.wrong_tokens.labels("not compared").inc()
        seconds = math.ceil(until - now)
        raise TooManyTokens(
            f"Too many wrong tokens from your address. Please try again in {seconds} s.",
            retry_after=seconds,
        )

    def add(self, address: str | None) -> None:
        """Count a wrong token."""
        key, now = _key(address), time.monotonic()
        with self._lock:
            until, count = self._counts.get(key, (0.0, 0))
            if until <= now:
                self._counts.pop(key, None)
                until, count = now + WINDOW_S, 0
            self._counts[key] = (until, count + 1)
            while len(self._counts) > _MOST_ADDRESSES:
                self._counts.popitem(last=False)
            name = self._name(key, now)
        self._metrics.wrong_tokens.labels("wrong").inc()
        LOGGER.warning(
            "wrong token from %s, %d in a minute",
            name,
            count + 1,
            extra={"fields": {"client": name, "wrong_tokens": count + 1}},
        )

    def _name(self, key: str, now: float) -> str:
        """Return what stands for an address today; nobody can tell the address from it.

        The salt is in memory alone and lives for a day, so that guesses of one address can be
        seen together, and no list of all addresses leads back from the log.
        """
        if now >= self._salt_until:
            self._salt, self._salt_until = secrets.token_bytes(32), now + _DAY_S
        return hashlib.blake2b(key.encode(), key=self._salt, digest_size=6).hexdigest()


def _key(address: str | None) -> str:
    return client_key((address or "", 0))
