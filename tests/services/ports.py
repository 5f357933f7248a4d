"""Loopback ports for servers."""

from __future__ import annotations

import random
import socket
from threading import Lock

from tests.services.problems import PortTaken, ServiceError

_RANGE = range(15_000, 32_000)
"""Below what systems give to outgoing connections, one of which could take a port while its server restarts."""
_random = random.Random()
_given: set[int] = set()
_lock = Lock()


def free_port() -> int:
    """A port that nothing listens at, and that this process was not given before."""
    with _lock:
        for port in _random.sample(_RANGE, 200):
            if port not in _given and is_free(port):
                _given.add(port)
                return port
    raise ServiceError("no free port found")


def is_free(port: int) -> bool:
    """Whether a server could listen at the port now."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def demand(port: int, what: str) -> None:
    """Raise `PortTaken` unless the port is free."""
    if not is_free(port):
        raise PortTaken(f"{what}: port {port} is taken by another program")


def listens(port: int) -> bool:
    """Whether a server accepts connections at the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
