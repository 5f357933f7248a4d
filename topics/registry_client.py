"""A schema registry's addresses, the client that asks it, and what its answers mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.errors import RegistryError, ServiceError

SETTING = "ADSTREAMS_SCHEMA_REGISTRY_URL"
_PASSING = (408, 425, 429)
"""Statuses of the 400s that say nothing about what was asked."""
_Answer = TypeVar("_Answer")


class SilentError(ServiceError):
    """No answer of a registry; the message says what came instead."""


class RefusedError(ServiceError):
    """A definite answer, but not what was asked for."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.said = status, said


@dataclass(frozen=True, slots=True)
class Address:
    """One address: `host` (and port) may be shown, `url` is without the user and the password."""

    host: str
    url: str
    user: str | None = field(repr=False)


def addresses(url: str) -> list[Address]:
    """The addresses of a list with commas between them.

    Raises:
        RegistryError: one of them is none; the message does not show it, since it may hold a password.
    """
    return [_address(part.strip()) for part in url.split(",")]


def _address(url: str) -> Address:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.path + parts.query + parts.fragment:
        raise RegistryError(f"{SETTING}: must be http(s)://host:port, perhaps with user:password@ before the host")
    host = parts.netloc.rpartition("@")[2]
    user = None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Address(host, parts._replace(netloc=host).geturl(), user)


def client(servers: list[Address], timeout: float) -> SchemaRegistryClient:
    """A client that tries each address once, as the first user that one of them names.

    Raises:
        RegistryError: it cannot be made, as where the file of certificates cannot be read.
    """
    config: dict[str, Any] = {
        "url": ",".join(server.url for server in servers),
        "timeout": timeout,
        "max.retries": 0,
    }
    users = [server.user for server in servers if server.user is not None]
    if users:
        config["basic.auth.user.info"] = users[0]
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)  # else a line for every request
    try:
        return SchemaRegistryClient(config)
    except Exception as error:  # it reads files and the environment
        raise RegistryError(f"{SETTING}: {type(error).__name__}: {_one_line(error)}") from None


def by_guid(registry: SchemaRegistryClient, guid: UUID) -> Schema:
    """The schema with this GUID.

    Raises:
        RefusedError: there is none, or the registry knows no GUIDs: both answer with 404.
        Exception: what the client raises otherwise.
    """
    try:
        return registry.get_schema_by_guid(str(guid))
    except SchemaRegistryError as error:
        if error.http_status_code == HTTPStatus.NOT_FOUND:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no such GUID") from None
        raise


def once(call: Callable[[], _Answer]) -> _Answer:
    """One attempt: an answer, `RefusedError`, or `SilentError` for all that no working registry says."""
    try:
        return call()
    except RefusedError:
        raise
    except SchemaRegistryError as error:
        status, code = error.http_status_code, error.error_code
        from_registry = isinstance(code, int) and code > 0  # a proxy before a registry that is down gives no code
        if 400 <= status < 500 and status not in _PASSING and (from_registry or status in (401, 403)):
            raise RefusedError(status, _one_line(error.error_message)) from None
        raise SilentError(f"HTTP {status}") from None
    except Exception as error:  # time-outs, refused connections, answers that are no JSON
        raise SilentError(_one_line(error) or type(error).__name__) from None


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[:200]
