"""Asking a served page as browsers do, and as they never would: over HTTP and the websocket, with any headers."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from http.client import HTTPConnection, HTTPMessage
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


def ask(address: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Reply:
    """One request; underscores in the names of headers stand for dashes."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=120)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def log_in(address: str, user: str, password: str) -> str:
    """The cookies of somebody who has logged in with the form, as the header `Cookie` has them."""
    form = urlencode({"username": user, "password": password})
    headers = {"Content_Type": "application/x-www-form-urlencoded", "Origin": address}
    answer = ask(address, "/login", "POST", form, **headers)
    assert answer.status == 302
    return "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie") or [])


def token_of(page: bytes) -> str:
    """The token in the HTML of a page, with which its websocket is opened."""
    found = re.search(rb'"token":"([^"]+)"', page)
    assert found is not None
    return found[1].decode()


def open_socket(address: str, token: str, **headers: str) -> int:
    """The status of the handshake of a page's websocket: 101 where it opens."""
    return ask(address, "/app/ws", **_handshake(token) | headers).status


def _handshake(token: str) -> dict[str, str]:
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Protocol": f"bokeh, {token}",
    }


def is_closed_after(address: str, token: str, size: int) -> bool:
    """Whether a page's websocket is closed once a message of so many bytes came over it; none is waited for in vain."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=120) as connection:
        fields = [f"{name.replace('_', '-')}: {value}" for name, value in _handshake(token).items()]
        lines = ["GET /app/ws HTTP/1.1", f"Host: {parts.netloc}", f"Origin: {address}", *fields, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        with contextlib.suppress(ConnectionError):  # it may be closed before all was sent
            connection.sendall(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * size)
            while connection.recv(65_536):
                pass
        return True
