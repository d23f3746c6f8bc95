"""Who may call, and how often: host names, proxies, the token, the rate, the bytes at once."""

from __future__ import annotations

import hmac
import math
import time

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, TooManyRequests, Unauthorized
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from brain_cnn.web.problems import answer_http_error
from brain_cnn.web.runtime.metrics import metrics_of
from brain_cnn.web.runtime.queue import Busy, ByteBudget
from brain_cnn.web.settings import Settings
from brain_cnn.web.wrong_tokens import TooManyTokens, WrongTokens

# Asked by machines that know neither a token nor our name, often, and from one address.
HEALTH = frozenset({"ops.healthz", "ops.readyz"})
_UNCOUNTED = HEALTH | {"ops.metrics", "static"}
_OPEN = HEALTH | {"static"}

_RETRY_S = 2
_TAKEN = "brain_cnn.bytes_taken"


def set_limits(app: Flask, settings: Settings, budget: ByteBudget) -> None:
    """Put the limits of `settings` in front of every view of `app`.

    Raises:
        SettingsError: the token's file cannot be read.
    """
    if settings.proxies:
        count = settings.proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )
    names = settings.trusted_host_list
    if names:
        app.before_request(lambda: _check_host(names))
    token = settings.token.encode()
    if token:
        wrong = WrongTokens(metrics_of(app))
        app.before_request(lambda: _check_token(token, wrong))
    if settings.rate_limit:
        _limit_rate(app, settings.rate_limit)
    app.before_request(lambda: _take_bytes(budget))
    app.teardown_request(lambda _: _give_bytes_back(budget))


def _check_host(names: list[str]) -> None:
    if request.endpoint not in HEALTH and not host_is_trusted(request.host, names):
        raise BadRequest("This server does not answer under that name.")


def _check_token(token: bytes, wrong: WrongTokens) -> None:
    """Let a request pass that shows the token, as `Bearer` or as the password of `Basic`.

    `Basic` is what a browser can ask a person for; it sends it with every later request of
    the page, the page's script included.

    Raises:
        Unauthorized: 401, with the schemes that are understood.
        TooManyTokens: 429, the address has guessed too often; nothing is compared.
    """
    if request.endpoint in _OPEN:
        return
    wrong.check(request.remote_addr)
    shown = request.authorization
    said = (shown.token or shown.password or "") if shown else ""
    # Constant in time: how much of a guess is right must not show.
    if not hmac.compare_digest(said.encode(), token):
        if said:  # a browser asks without one first
            wrong.add(request.remote_addr)
        raise Unauthorized("This server asks for a token: Authorization: Bearer <token>.")


def _limit_rate(app: Flask, rate: str) -> None:
    """Limit the requests of each client address, with Flask-Limiter's store in memory.

    The store belongs to one process: with W workers a client gets between one and W times the
    rate. A limit for the whole service belongs into the proxy in front.
    """
    # Imported here: it costs a tenth of a second that a server without a limit need not pay.
    from flask_limiter import Limiter
    from flask_limiter.util import get_remote_address

    limiter = Limiter(
        get_remote_address,
        app=app,
        application_limits=[rate],
        storage_uri="memory://",
        strategy="moving-window",
        headers_enabled=False,
        swallow_errors=False,
    )

    @limiter.request_filter
    def uncounted() -> bool:
        return request.endpoint in _UNCOUNTED

    @app.errorhandler(429)
    def too_many(error: TooManyRequests) -> ResponseReturnValue:
        if isinstance(error, TooManyTokens):
            answer: ResponseReturnValue = answer_http_error(error)
            return answer
        current = limiter.current_limit
        seconds = 1
        if current is not None:
            # `reset_at` is rounded up to a whole second, and never later than a whole window.
            left = math.ceil(current.reset_at - time.time())
            seconds = min(max(1, left), current.limit.get_expiry())
        result: ResponseReturnValue = answer_http_error(
            TooManyRequests(
                f"Too many requests from your address: the limit is {rate}. "
                f"Please try again in {seconds} s.",
                retry_after=seconds,
            )
        )
        return result


def _take_bytes(budget: ByteBudget) -> None:
    """Refuse an upload that does not fit beside those that are already in memory.

    Raises:
        Busy: 503.
    """
    length = request.content_length or 0
    sock = request.environ.get("gunicorn.socket")
    if getattr(sock, "refused", False):
        raise Busy("memory-full", _RETRY_S)
    # Our gunicorn worker has the body already and has counted it.
    if not length or getattr(sock, "counted", False):
        return
    limit = request.max_content_length
    if limit is not None and length > limit:
        return  # 413 when the form is read
    if not budget.take(length):
        raise Busy("memory-full", _RETRY_S)
    request.environ[_TAKEN] = length


def _give_bytes_back(budget: ByteBudget) -> None:
    budget.give_back(request.environ.pop(_TAKEN, 0))
