"""What protects the person who uploads and the server that answers.

Headers that allow nothing but our own files, uploads that stay in memory, and a form that
only our own page may send.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from werkzeug.exceptions import Forbidden

from brain_cnn.web.form_parser import NamelessFormParser

# Everything is refused unless named. `data:` is for the slice and the overlay, which come
# inside the answer because nothing is stored; no inline script or style is allowed.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

# A refused body is read and thrown away up to this many times the limit, so that the browser
# gets to see the answer instead of a reset connection.
_DRAIN_FACTOR = 4


FORM = "multipart/form-data"


class MemoryRequest(Request):
    """A request whose uploads never touch the disk, and whose form is multipart or none.

    Werkzeug spools uploads over 500 kB to a temporary file; here they stay in memory, which
    the limit on the request's size bounds. It also reads an urlencoded form, as a whole and
    forty times as large as it came; none of our pages sends one, so it is never looked at.
    What a file is called does not matter.
    """

    form_data_parser_class = NamelessFormParser

    @property
    def want_form_data_parsed(self) -> bool:
        """Whether the body is a form that we read."""
        return self.mimetype == FORM

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()


def protect(app: Flask) -> None:
    """Use `MemoryRequest` for every request and put `HEADERS` on every response."""
    app.request_class = MemoryRequest
    app.after_request(_add_headers)


def require_same_origin() -> None:
    """Refuse a form that another site's page sent.

    Browsers say where a form comes from, in `Sec-Fetch-Site` or `Origin`; what says neither
    is no browser and is let through.

    Raises:
        Forbidden: the form comes from another site.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is None or urlsplit(origin).netloc == request.host
    if not own:
        raise Forbidden("This form was sent by a page of another site. Open our own page.")


def drain_body() -> None:
    """Throw the body of a refused request away, within bounds, if it was not read.

    Otherwise the client, who is still sending, sees a reset connection and no answer.
    """
    if request.want_form_data_parsed and "form" in vars(request):  # it was read
        return
    left = min(request.content_length or 0, _DRAIN_FACTOR * int(request.max_content_length or 0))
    stream = request.environ.get("wsgi.input")
    while stream is not None and left > 0:
        try:
            piece = stream.read(min(left, 1 << 16))
        except OSError:  # the client is gone
            return
        if not piece:
            return
        left -= len(piece)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint == "static" and "v" in request.args:
        # The address carries the content's hash (`static_url`), so it may be kept for ever.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif request.endpoint == "static":
        # A script's module, asked for by another one: kept, but asked about each time.
        response.headers["Cache-Control"] = "public, no-cache"
    else:
        response.headers["Cache-Control"] = "no-store"
    return response
