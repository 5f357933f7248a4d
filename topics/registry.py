"""The schema registry: schemas by their ids, with patience for a registry that does not answer for a while."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

from cachetools import TTLCache
from confluent_kafka.schema_registry import Schema

from schemas.avro.references import definitions, self_contained
from schemas.errors import NoSchemaError, RegistryError
from topics.registry_client import SETTING, RefusedError, SilentError, addresses, by_guid, client, once

PATIENCE = 30.0
"""Seconds that an id waits for a registry that does not answer; then its messages go to the dead letters."""
HOLD = 30.0
"""Seconds after that in which no other id waits."""
PROBE = 5.0
"""Seconds between two attempts meanwhile."""
ATTEMPT = 3.0
"""Seconds after which one attempt is over."""
LARGEST_ID = 2**31 - 1
"""Registries count with signed numbers."""
FORGET, REMEMBERED = 60.0, 10_000
"""Seconds for which an id that is not in the registry is remembered as such, and the most such ids."""
MOST_REFERENCES = 200
"""Schemas that one may refer to, with those that they refer to."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_LOGGER = logging.getLogger("adstreams")

_Answer = TypeVar("_Answer")


class Registry:
    """A schema registry with Confluent's HTTP API; a `schemas.avro.framing.SchemaLookup`.

    A schema that was found once goes on when the registry is down. Several threads may use it: one asks at a time.

    Args:
        url: one or more addresses with commas between them, where needed with `user:password@` before the host.
        patience: seconds that an unknown id waits for a registry that does not answer.
        attempt: seconds after which one attempt at one address is over.
        clock: seconds that go on, `sleep`: waits for some of them.

    Raises:
        RegistryError: that is no such address.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = PATIENCE,
        attempt: float = ATTEMPT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        servers = addresses(url)
        self._patience, self._longest, self._clock, self._sleep = patience, attempt * len(servers), clock, sleep
        self.host = ",".join(server.host for server in servers)
        """Host and port, as they may be shown."""
        self._client = client(servers, attempt)
        self._known: dict[int | UUID, Any] = {}
        self._absent: TTLCache[int | UUID, str] = TTLCache(REMEMBERED, FORGET, clock)
        self._lock = threading.Lock()
        self._silent, self._hold_until, self._probe_at = False, 0.0, 0.0

    def check(self, timeout: float = 10.0) -> None:
        """Wait until the registry answers.

        Raises:
            RegistryError: it did not within `timeout` seconds, or it refuses the user.
        """
        self._at_start(self._client.get_schema_types, timeout, "it cannot be used")

    def register(self, subject: str, schema: dict[str, Any], timeout: float = 10.0) -> int:
        """The id of a schema under a subject, under which it is registered where it was not yet.

        Raises:
            RegistryError: the registry did not answer within `timeout` seconds, or refuses the schema.
        """
        text = Schema(json.dumps(schema), "AVRO")

        def ask() -> int:
            schema_id = self._client.register_schema(subject, text)
            if not isinstance(schema_id, int):
                raise TypeError("an answer without an id")
            return schema_id

        schema_id = self._at_start(ask, timeout, f"subject {subject!r} does not take the schema")
        self._known[schema_id] = schema
        return schema_id

    def schema(self, schema_id: int | UUID) -> Any:
        """The schema with this id or GUID, with all types of other schemas that it refers to.

        While the registry does not answer, the first unknown id waits for it (`PATIENCE`); for a while after that
        (`HOLD`) other ids do not wait, and only now and then (`PROBE`) one of them asks.

        Raises:
            NoSchemaError: it is not in the registry, or one of its references, it is none of Avro, or the registry does
                not answer.
        """
        if schema_id in self._known:
            return self._known[schema_id]
        if isinstance(schema_id, int) and schema_id > LARGEST_ID:  # some registries' answer to it would look like none
            raise NoSchemaError("not in the registry")
        with self._lock:
            if schema_id in self._known:
                return self._known[schema_id]
            absent = self._absent.get(schema_id)
            if absent is None:
                try:
                    self._known[schema_id] = schema = self._whole(self._found(schema_id))
                except ValueError as error:
                    absent = str(error)
                else:
                    return schema
                self._absent[schema_id] = absent
            raise NoSchemaError(absent)

    def _found(self, schema_id: int | UUID) -> Schema:
        """What the registry has under an id or a GUID.

        Raises:
            ValueError: nothing; the message is the reason.
        """
        try:
            if isinstance(schema_id, UUID):
                return self._ask(lambda: by_guid(self._client, schema_id))
            return self._ask(lambda: self._client.get_schema(schema_id))
        except RefusedError as error:
            raise ValueError(_refusal(error)) from None

    def _whole(self, found: Schema) -> Any:
        """A schema with the types that it refers to: each is defined where it is first named.

        Raises:
            ValueError: one is not there, or is none of Avro; the message is the reason.
        """
        others, pending = dict[tuple[str, int], Any](), list(found.references or ())
        while pending:
            reference = pending.pop()
            if not reference.subject or reference.version is None:
                raise ValueError(f"its reference {reference.name} names no subject and version")
            place = reference.subject, reference.version
            if place in others:
                continue
            if len(others) == MOST_REFERENCES:
                raise ValueError(f"it refers to more than {MOST_REFERENCES} schemas")
            named = f"its reference {reference.name} (subject {place[0]}, version {place[1]})"
            try:
                other = self._ask(lambda place=place: self._client.get_version(*place)).schema  # type: ignore[misc]
                others[place] = _avro(other)
            except RefusedError as error:
                raise ValueError(f"{named}: {_refusal(error)}") from None
            except ValueError as error:
                raise ValueError(f"{named}: {error}") from None
            pending += other.references or ()
        schema = _avro(found)
        try:
            return self_contained(schema, definitions(others.values())) if others else schema
        except (AttributeError, KeyError, TypeError, RecursionError):
            raise ValueError("its references cannot be used") from None

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        """What the registry answers, with all the patience that there is now."""
        now, patience = self._clock(), self._patience
        if now < self._hold_until:
            patience = 0.0
            if now < self._probe_at:
                raise NoSchemaError("the registry does not answer")
        try:
            return self._insist(call, patience, self._notice)
        except SilentError as error:
            now = self._clock()
            self._probe_at = now + PROBE
            if patience:
                self._hold_until = now + HOLD
            raise NoSchemaError(f"the registry does not answer ({error})") from None

    def _notice(self, silence: SilentError | None) -> None:
        """Say once that the registry does not answer, and once that it does again."""
        if silence is not None and not self._silent:
            _LOGGER.warning(
                "schema registry %s does not answer (%s): a message with a new schema id waits up to %g s",
                self.host,
                silence,
                self._patience,
            )
        elif silence is None and self._silent:
            _LOGGER.warning("schema registry %s answers again", self.host)
            self._hold_until = 0.0
        self._silent = silence is not None

    def _at_start(self, call: Callable[[], _Answer], timeout: float, refusal: str) -> _Answer:
        try:
            return self._insist(call, timeout, lambda silence: None)
        except SilentError as error:
            raise RegistryError(f"{SETTING}: {self.host}: no answer within {timeout:g} s ({error})") from None
        except RefusedError as error:
            raise RegistryError(f"{SETTING}: {self.host}: {refusal} ({error}): {error.said}") from None

    def _insist(
        self, call: Callable[[], _Answer], patience: float, notice: Callable[[SilentError | None], None]
    ) -> _Answer:
        """Call until there is an answer, with growing pauses; the last attempt ends within `patience` seconds."""
        last, pause = self._clock() + patience - self._longest, _FIRST_PAUSE
        while True:
            try:
                answer = once(call)
            except SilentError as silence:
                notice(silence)
                wait = pause * random.uniform(0.5, 1.0)
                if self._clock() + wait > last:
                    raise
            except RefusedError:
                notice(None)
                raise
            else:
                notice(None)
                return answer
            self._sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refusal(error: RefusedError) -> str:
    return "not in the registry" if error.status == 404 else f"the registry refuses it ({error})"


def _avro(found: Schema) -> Any:
    """A schema of Avro.

    Raises:
        ValueError: it is none; the message is the reason.
    """
    if found.schema_type not in (None, "AVRO"):
        raise ValueError(f"its schema is of type {found.schema_type}, not AVRO")
    try:
        return json.loads(found.schema_str or "")
    except (ValueError, TypeError, RecursionError):
        raise ValueError("its schema is no JSON") from None
