"""Log lines without a person in them, as text or as JSON.

A request is one line: method, the route (not the address, which a caller may fill with a
name), status, durations and request id. For an error the log has types and places, not the
message: a decoder's message can quote the file.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from types import TracebackType
from typing import Any

from flask import Flask

from brain_cnn.web.runtime.trace import trace_or_none

LOGGER = logging.getLogger("brain_cnn")
_REQUESTS = logging.getLogger("brain_cnn.requests")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonFormatter(logging.Formatter):
    """One JSON object for each line, merged with `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = without_messages(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """The usual line; for an error its types and places only."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name in logging
        """Return the trace without messages."""
        return without_messages(ei)


class PrivateApp(Flask):
    """A Flask application whose error log holds no request address and no error message."""

    def log_exception(self, exc_info: Any) -> None:
        """Log an error that became a 500."""
        log_failure(exc_info)


def log_failure(exc_info: ExcInfo) -> None:
    """Log an error of the server with the id of the request."""
    trace = trace_or_none()
    identifier = trace.id if trace else ""
    LOGGER.error(
        "a request failed, id=%s\n%s",
        identifier,
        without_messages(exc_info),
        extra={"fields": {"request_id": identifier}},
    )


def without_messages(exc_info: ExcInfo) -> str:
    """Return types and places of an error and its causes; no values, no messages."""
    error = exc_info[1]
    parts = []
    while error is not None:
        places = "".join(
            f"  {frame.filename}:{frame.lineno} {frame.name}\n"
            for frame in traceback.extract_tb(error.__traceback__)
        )
        parts.append(f"{type(error).__module__}.{type(error).__qualname__} at\n{places}")
        error = error.__cause__ or error.__context__
    return "caused by ".join(parts).rstrip()


def log_request(
    identifier: str, method: str, route: str, status: int, size: int, durations: dict[str, float]
) -> None:
    """Write the log line of an answered request.

    Args:
        size: bytes of the answer, -1 if it is streamed.
        durations: seconds by stage.
    """
    if not _REQUESTS.isEnabledFor(logging.INFO):
        return
    stages = {name: round(seconds * 1000, 2) for name, seconds in durations.items()}
    _REQUESTS.info(
        "%s %s %d %d bytes %s id=%s",
        method,
        route,
        status,
        size,
        " ".join(f"{name}={value}ms" for name, value in stages.items()),
        identifier,
        extra={
            "fields": {
                "request_id": identifier,
                "method": method,
                "route": route,
                "status": status,
                "bytes": size,
                "ms": stages,
            }
        },
    )


def set_up_logging(kind: str) -> None:
    """Send our log to stderr as `kind`, "text" or "json"; an embedding program keeps its own."""
    LOGGER.setLevel(logging.INFO)
    if logging.getLogger().handlers:
        return
    if not LOGGER.handlers:
        LOGGER.addHandler(logging.StreamHandler())
    formatter = JsonFormatter() if kind == "json" else TextFormatter()
    for handler in LOGGER.handlers:
        handler.setFormatter(formatter)


class WithoutAddress(logging.Filter):
    """Takes the request's address out of gunicorn's own lines about requests."""

    _BEGINNINGS = ("Invalid request from ip", "Error handling request")

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; never drop it."""
        text = str(record.msg)
        for beginning in self._BEGINNINGS:
            if text.startswith(beginning):
                record.msg, record.args = f"{beginning.removesuffix(' from ip')}.", ()
        if record.exc_info:
            record.msg = f"{record.msg}\n{without_messages(record.exc_info)}"
            record.exc_info = record.exc_text = None
        return True


def gunicorn_logging() -> dict[str, Any]:
    """Return gunicorn's `logconfig_dict` for JSON lines on stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "brain_cnn.web.runtime.logs.JsonFormatter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        },
        "root": {"level": "WARNING", "handlers": []},
    }
