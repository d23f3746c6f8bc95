"""Every setting of the server: one frozen dataclass, read from `BRAIN_CNN_*` variables.

A new setting is one line here; its variable is its name in capitals after `BRAIN_CNN_`.
A variable with an unknown name stops the start: a misspelt limit must not be ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from brain_cnn.cores import cores
from brain_cnn.errors import SettingsError
from brain_cnn.inference.engines import ENGINES
from brain_cnn.scan import ScanLimits
from brain_cnn.web.secret import NO_SECRET, Secret

PREFIX = "BRAIN_CNN_"

# Variables of the training side and of the tests, which the server passes over.
_OF_OTHERS = frozenset({"BRAIN_CNN_DATA", "BRAIN_CNN_CACHE"})

_MIB = 1024 * 1024

LOG_FORMATS = ("text", "json")

# Threads for what needs no engine: refusals, health, metrics, static files.
_SPARE_THREADS = 8
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Settings:
    """Settings of one server process, with their defaults.

    Attributes:
        model: the model folder; empty means the shipped one.
        engine: "ncnn", "onnx" or "tensorflow".
        engine_threads: threads of one forward pass. 1, since the server answers several
            requests at once and they would fight for the cores.
        coverage: target coverage of the prediction sets, 0.90, 0.95 or 0.99.
        max_file_mib: largest file, MiB.
        max_request_mib: largest request with all its files, in MiB; held in memory.
        max_files: files in one request; a series has many.
        max_form_parts: parts of one multipart form.
        max_megapixels: largest slice, in million pixels.
        max_slices: slices of one scan.
        max_study_megapixels: all slices held at once, in million pixels.
        max_unpacked_mib: largest unpacked size of a ZIP, a gzipped NIfTI or a deflated DICOM,
            in MiB.
        max_members: files in a ZIP.
        max_zip_ratio: unpacked bytes for each packed byte; checked from 16 MiB on.
        max_zip_depth: archives inside each other; 1 refuses a ZIP in a ZIP.
        file_seconds: longest time for reading one file, in seconds; checked between its slices
            and members.
        bind: address and port that gunicorn listens on.
        workers: gunicorn processes, each with its own model; 0 means one per core, at most 8.
        threads: threads of one process; 0 means one for each request that runs or waits in the
            queue, and 8 more, so that refusals and health checks do not wait.
        timeout_s: seconds after which a worker that does not answer is replaced.
        engine_slots: requests that one process judges at once; 0 means at least 2, and more if
            there are more cores than processes.
        queue_waiting: requests of one process that may wait for a slot; the others get 503.
        queue_seconds: longest wait for a slot, in seconds; then the answer is 503.
        slot_seconds: longest time that a request may hold a slot, in seconds; then the next one
            gets it, and `/readyz` says 503 until the request ends.
        max_held_mib: bytes of uploads that one process holds at once, MiB; more get 503.
        read_seconds: time for a request's head to arrive, and how far its body may fall behind
            64 KiB a second.
        rate_limit: requests of one client, for example "120/minute"; empty means no limit.
            Each process counts for itself.
        api_token: the token that a caller must send, as `Bearer` or as the password of `Basic`;
            where it is not set, everybody may call. A blank one stops the start.
        api_token_file: a file with the token, instead of api_token.
        proxies: number of trusted reverse proxies in front; the server believes their
            X-Forwarded-* headers.
        trusted_hosts: host names that the server answers to, separated by commas; empty means
            all.
        log_format: "text" or "json", one line for each request.
    """

    model: str = ""
    engine: str = "ncnn"
    engine_threads: int = 1
    coverage: float = 0.95
    max_file_mib: int = 64
    max_request_mib: int = 128
    max_files: int = 512
    max_form_parts: int = 1000
    max_megapixels: int = 40
    max_slices: int = 512
    max_study_megapixels: int = 128
    max_unpacked_mib: int = 256
    max_members: int = 2000
    max_zip_ratio: int = 200
    max_zip_depth: int = 1
    file_seconds: int = 30
    bind: str = "127.0.0.1:8000"
    workers: int = 0
    threads: int = 0
    timeout_s: int = 60
    engine_slots: int = 0
    queue_waiting: int = 32
    queue_seconds: int = 10
    slot_seconds: int = 120
    max_held_mib: int = 512
    read_seconds: int = 20
    rate_limit: str = ""
    api_token: Secret = NO_SECRET  # a plain text is taken too
    api_token_file: str = ""
    proxies: int = 0
    trusted_hosts: str = ""
    log_format: str = "text"

    def __post_init__(self) -> None:  # noqa: PLR0912 - one check after another
        # Frozen: the one field that is wrapped is set around the guard.
        object.__setattr__(self, "api_token", Secret(self.api_token))
        if self.engine not in ENGINES:
            raise _bad("engine", self.engine, f"one of {', '.join(ENGINES)}")
        if not 0 < self.coverage < 1:
            raise _bad("coverage", self.coverage, "a share between 0 and 1, for example 0.95")
        if self.log_format not in LOG_FORMATS:
            raise _bad("log_format", self.log_format, f"one of {', '.join(LOG_FORMATS)}")
        for name in ("workers", "threads", "engine_slots"):
            if getattr(self, name) < 0:
                raise _bad(name, getattr(self, name), "0 (from the cores) or more")
        for name in ("queue_waiting", "proxies"):
            if getattr(self, name) < 0:
                raise _bad(name, getattr(self, name), "0 or more")
        for name in (
            "engine_threads",
            "max_file_mib",
            "max_request_mib",
            "max_files",
            "max_form_parts",
            "max_megapixels",
            "max_slices",
            "max_study_megapixels",
            "max_unpacked_mib",
            "max_members",
            "max_zip_ratio",
            "max_zip_depth",
            "file_seconds",
            "timeout_s",
            "queue_seconds",
            "slot_seconds",
            "read_seconds",
        ):
            if getattr(self, name) < 1:
                raise _bad(name, getattr(self, name), "1 or more")
        if self.max_file_mib > self.max_request_mib:
            raise _bad(
                "max_file_mib", self.max_file_mib, f"at most max_request_mib {self.max_request_mib}"
            )
        if self.max_held_mib < self.max_request_mib:
            raise _bad(
                "max_held_mib",
                self.max_held_mib,
                f"at least max_request_mib {self.max_request_mib}",
            )
        if self.api_token and not self.api_token.reveal().strip():
            raise _bad("api_token", "blank", "a token, or not set at all")
        if self.api_token and self.api_token_file:
            raise SettingsError(
                "two-tokens",
                f"{PREFIX}API_TOKEN and {PREFIX}API_TOKEN_FILE are both set.",
                "Set one of them.",
            )
        if self.rate_limit:
            self._check_rate_limit()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ` (the process's own if None).

        Raises:
            SettingsError: an unknown `BRAIN_CNN_*` name, or a value that does not fit.
        """
        environ = os.environ if environ is None else environ
        known = {PREFIX + field.name.upper(): field for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if not name.startswith(PREFIX) or name in _OF_OTHERS:
                continue
            if name not in known:
                raise SettingsError(
                    "unknown-setting",
                    f"There is no setting {name}.",
                    f"The settings are {', '.join(sorted(known))}.",
                )
            field = known[name]
            values[field.name] = _parse(field.name, text, type(field.default))
        return cls(**values)

    @property
    def model_path(self) -> Path | None:
        """The model folder, or None for the shipped one."""
        return Path(self.model) if self.model else None

    @property
    def scan_limits(self) -> ScanLimits:
        """The bounds for the readers, in bytes, pixels and seconds."""
        return ScanLimits(
            max_bytes=self.max_file_mib * _MIB,
            max_pixels=self.max_megapixels * 1_000_000,
            max_slices=self.max_slices,
            max_study_pixels=self.max_study_megapixels * 1_000_000,
            max_unpacked_bytes=self.max_unpacked_mib * _MIB,
            max_members=self.max_members,
            max_ratio=self.max_zip_ratio,
            max_depth=self.max_zip_depth,
            max_seconds=self.file_seconds,
        )

    @property
    def max_request_bytes(self) -> int:
        """Largest request body in bytes."""
        return self.max_request_mib * _MIB

    @property
    def max_held_bytes(self) -> int:
        """Bytes of uploads that one process holds at once."""
        return self.max_held_mib * _MIB

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return self.workers or min(cores(), _MOST_WORKERS)

    @property
    def slot_count(self) -> int:
        """Requests that one process judges at once.

        Two even where a process has one core: while one request is in the network another
        can be read, and a large study does not stop all single slices.
        """
        return self.engine_slots or max(2, -(-cores() // self.worker_count))

    @property
    def thread_count(self) -> int:
        """Threads of one process."""
        return self.threads or self.slot_count + self.queue_waiting + _SPARE_THREADS

    @property
    def token(self) -> str:
        """The token that callers must show, "" for none.

        Raises:
            SettingsError: the file cannot be read or holds nothing.
        """
        if not self.api_token_file:
            return self.api_token.reveal()
        try:
            text = Path(self.api_token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text:
            raise _bad("api_token_file", self.api_token_file, "a readable file with a token in it")
        return text

    @property
    def trusted_host_list(self) -> list[str]:
        """The names of `trusted_hosts`."""
        return [name.strip() for name in self.trusted_hosts.split(",") if name.strip()]

    def describe(self) -> str:
        """Return all settings on one line, for the log at start; secrets are not shown."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return "settings: " + " ".join(f"{name}={value!r}" for name, value in values.items())

    def _check_rate_limit(self) -> None:
        from limits import parse_many

        try:
            parse_many(self.rate_limit)
        except ValueError:
            raise _bad(
                "rate_limit", self.rate_limit, 'for example "120/minute" or "5/second;100/minute"'
            ) from None


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is Secret and not text.strip():  # whoever sets it wants no open server
        raise _bad(name, text, "a token, or not set at all")
    try:
        return kind(text.strip())
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}.get(kind, "text")
        raise _bad(name, text, wanted) from None


def _bad(name: str, value: object, wanted: str) -> SettingsError:
    return SettingsError(
        "bad-setting", f"{PREFIX}{name.upper()} is {value!r}.", f"It must be {wanted}."
    )
