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

from cachetools import TTLCache
from confluent_kafka.schema_registry import Schema

from schemas.writers import NoSchemaError
from topics.problems import RegistryError
from topics.registry_client import SETTING, RefusedError, SilentError, addresses, client, once

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
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_LOGGER = logging.getLogger("adstreams")

_Answer = TypeVar("_Answer")


class Registry:
    """A schema registry with Confluent's HTTP API; a `schemas.writers.SchemaLookup`.

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
        self._known: dict[int, dict[str, Any]] = {}
        self._absent: TTLCache[int, str] = TTLCache(REMEMBERED, FORGET, clock)
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

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema with this id.

        While the registry does not answer, the first unknown id waits for it (`PATIENCE`); for a while after that
        (`HOLD`) other ids do not wait, and only now and then (`PROBE`) one of them asks.

        Raises:
            NoSchemaError: it is not in the registry, is no record of Avro, or the registry does not answer.
        """
        if schema_id in self._known:
            return self._known[schema_id]
        if schema_id > LARGEST_ID:  # some registries' answer to it would look like none
            raise NoSchemaError("not in the registry")
        with self._lock:
            if schema_id in self._known:
                return self._known[schema_id]
            absent = self._absent.get(schema_id)
            if absent is None:
                try:
                    self._known[schema_id] = schema = _record(self._ask(schema_id))
                except RefusedError as error:
                    absent = "not in the registry" if error.status == 404 else f"the registry refuses it ({error})"
                except ValueError as error:
                    absent = str(error)
                else:
                    return schema
                self._absent[schema_id] = absent
            raise NoSchemaError(absent)

    def _ask(self, schema_id: int) -> Schema:
        """What the registry has under an id, with all the patience that there is now."""
        now, patience = self._clock(), self._patience
        if now < self._hold_until:
            patience = 0.0
            if now < self._probe_at:
                raise NoSchemaError("the registry does not answer")
        try:
            return self._insist(lambda: self._client.get_schema(schema_id), patience, self._notice)
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
                self.host, silence, self._patience,
            )  # fmt: skip
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


def _record(found: Schema) -> dict[str, Any]:
    """The schema of a record.

    Raises:
        ValueError: it is not one of Avro, or of anything else than a record; the message is the reason.
    """
    if found.schema_type not in (None, "AVRO"):
        raise ValueError(f"its schema is of type {found.schema_type}, not AVRO")
    try:
        schema = json.loads(found.schema_str or "")
    except (ValueError, TypeError, RecursionError):
        raise ValueError("its schema is no JSON") from None
    if not isinstance(schema, dict):
        raise ValueError("its schema is not a record")  # noqa: TRY004 not an error of a type in Python
    return schema
