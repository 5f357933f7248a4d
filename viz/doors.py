"""What every request to the server must pass, for page, websocket, static files and API, and what no answer gives away.

`panel serve` makes its Tornado application itself; `guard` has it make one of these, as Panel does with Bokeh's server.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import bokeh.server.server
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import check_allowlist
from bokeh.settings import settings as bokeh_settings
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

from schemas.validation import LONGEST_ID

HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a login form would be sent with the origin `null` then.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer."""
LONGEST_MESSAGE = 256 * 1024
"""Bytes of a message from a browser over the websocket; what the page sends is far shorter."""
LONGEST_BODY = 64 * 1024
"""Bytes of a request's body: a login form at the most."""
PLAIN_WORDS = frozenset(("api", "users", "propensity", "explanation", "credit", "grades", "health"))
"""What of a path under /api is no user's id."""

log = logging.getLogger(__name__)


def too_long(user: str) -> bool:
    """Whether this is longer than any user's id: no event of such a user is stored."""
    return len(user) > LONGEST_ID or len(user.encode("utf-8", "replace")) > LONGEST_ID


def masked(address: str, known: bool = True) -> str:
    """A request's path for the log, without users' ids; of a path that is not `known`, only that it was asked for.

    >>> masked("/api/users/ann/propensity?from=2018-05-01")
    '/api/users/*/propensity?*'
    >>> masked("/app?users=ann,bob"), masked("/static/js/bokeh.min.js"), masked("/people/ann", known=False)
    ('/app?*', '/static/js/bokeh.min.js', '/*')
    """
    path, question, _ = address.partition("?")
    parts = path.split("/")
    if "api" in parts:
        start = parts.index("api")
        below = zip(parts[start:], parts[start + 1 :], strict=False)
        parts[start + 1 :] = [part if part in PLAIN_WORDS and before != "users" else "*" for before, part in below]
        path = "/".join(parts)
    elif not known:
        path = "/*"
    return path[:LONGEST_ID] + ("?*" if question else "")


class Guarded(RequestHandler):
    """What is added to every handler of the server."""

    application: GuardedTornado

    def set_default_headers(self) -> None:
        """Those of the handler, and ours."""
        super().set_default_headers()
        for name in [name for name in self._headers if name.startswith("Access-Control-")]:
            self.clear_header(name)
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def check_origin(self, origin: str) -> bool:
        """Whether a websocket may be opened from a page of this origin."""
        return self.application.is_ours(origin)

    def _request_summary(self) -> str:
        request = self.request
        return f"{request.method} {masked(request.uri or '', self.get_status() != 404)} ({request.remote_ip})"

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """As Tornado does, without the request itself."""
        if isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)
        else:
            log.error("%s", self._request_summary(), exc_info=value)


class Stranger(RequestHandler):
    """Answers a request that is for another host, or comes from another one's page."""

    def initialize(self, problem: str) -> None:
        """Take what is wrong."""
        self._problem = problem

    def prepare(self) -> None:
        """Refuse in one plain line."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._problem + "\n")


_classes: dict[type[RequestHandler], type[RequestHandler]] = {}


def _guarded(handler: type[RequestHandler]) -> type[RequestHandler]:
    if handler not in _classes:
        _classes[handler] = type(handler.__name__, (Guarded, handler), {"__module__": handler.__module__})
    return _classes[handler]


class GuardedTornado(BokehTornado):
    """Bokeh's application, whose handlers are all `Guarded`.

    Hosts and origins are those of `--allow-websocket-origin`, and this machine's own names with the server's port.
    What headers and cookies a request has is no business of the page: Bokeh would put them into its HTML.
    """

    def __init__(
        self,
        *applications: Any,
        absolute_url: str | None = None,
        extra_websocket_origins: Any = None,
        websocket_max_message_size_bytes: int = LONGEST_MESSAGE,
        **others: Any,
    ) -> None:
        super().__init__(
            *applications,
            absolute_url=absolute_url,
            extra_websocket_origins=extra_websocket_origins,
            websocket_max_message_size_bytes=min(websocket_max_message_size_bytes, LONGEST_MESSAGE),
            **others | {"include_headers": [], "include_cookies": [], "exclude_headers": None, "exclude_cookies": None},
        )
        port = (absolute_url or "").rstrip("/").rpartition(":")[2]  # with a bare IPv6 address it is no URL
        self._own = [f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]") if port.isdecimal()]

    def allows(self, host: str) -> bool:
        """Whether `host` or `host:port` is a name under which the server is reached."""
        given = bokeh_settings.allowed_ws_origin() or self.websocket_origins
        return bool(host) and check_allowlist(host.lower(), [*self._own, *given])

    def is_ours(self, origin: str) -> bool:
        """Whether a page of this origin, such as `http://localhost:5006`, is one of ours."""
        try:
            return self.allows(urlsplit(origin).netloc)
        except ValueError:  # no address at all
            return False

    def find_handler(self, request: HTTPServerRequest, **others: Any) -> Any:
        """Who answers, which is a `Stranger` where the host or the origin is none of ours."""
        request.guarded = True  # type: ignore[attr-defined]
        if isinstance(request.connection, HTTP1Connection):
            request.connection.set_max_body_size(LONGEST_BODY)
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self.allows(host):
            allow = "start it with --allow-websocket-origin HOST:PORT"
            problem = f"This server is not reached as {host[:LONGEST_ID]!a}: {allow}."
            return self.get_handler_delegate(request, Stranger, {"problem": problem})
        if origin is not None and not self.is_ours(origin):
            problem = "Pages of another origin may not ask this server: it allows those of --allow-websocket-origin."
            return self.get_handler_delegate(request, Stranger, {"problem": problem})
        return super().find_handler(request, **others)

    def get_handler_delegate(
        self, request: HTTPServerRequest, target_class: type[RequestHandler], *others: Any, **named: Any
    ) -> Any:
        """As Tornado does, with our additions."""
        return super().get_handler_delegate(request, _guarded(target_class), *others, **named)


def guard() -> None:
    """Have every Bokeh server of this process that is made from now on be guarded."""
    bokeh.server.server.BokehTornado = GuardedTornado  # type: ignore[attr-defined]
