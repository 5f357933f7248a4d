"""The errors that Ad-Streams raises: one tree, so that a caller can catch as much of it as it can handle.

    AdStreamsError
    ├── SettingsError        a setting is wrong; names it
    ├── JobError             a command cannot do its work
    ├── InputError           something to read is not usable
    │   ├── ModelFileError       a model file
    │   ├── ActionsFileError     an actions file
    │   ├── LogFileError         a file of a log
    │   ├── ColumnsError         the columns of a log
    │   └── TimesError           a column of times
    │       └── AmbiguousTimes       it can be read in several ways
    ├── MessageError         a message of a topic
    │   ├── Undecodable          it cannot be read
    │   └── NoSchemaError        its schema cannot be found
    ├── StateError           what a recovery directory holds
    │   ├── SnapshotError        of another version or sequence length
    │   └── DamagedError         not what was saved
    └── ServiceError         something outside the process
        ├── StoreError           SQLite or Cassandra
        ├── TopicError           Kafka or a topic
        └── RegistryError        the schema registry

A message is one line for a person. It names the setting, file, column or server at fault, and shows no secret. Events
never raise: what cannot be taken becomes a dead letter.
"""

from __future__ import annotations

from pydantic import ValidationError


class AdStreamsError(Exception):
    """The base of every error of Ad-Streams."""


class SettingsError(AdStreamsError, ValueError):
    """A setting that is wrong; the message is one line that names it."""


class JobError(AdStreamsError):
    """A command that cannot do its work; the message is one line."""


class InputError(AdStreamsError):
    """Something to read that is not usable."""


class ModelFileError(InputError, ValueError):
    """Not a model file; the message names the field."""


class ActionsFileError(InputError, ValueError):
    """An invalid actions file; the message names the field."""


class LogFileError(InputError):
    """A log file that cannot be read or written; the message names it."""


class ColumnsError(InputError, ValueError):
    """Columns that no row can be read from; the message names the column."""


class TimesError(InputError, ValueError):
    """A column that times cannot be read from; the message does not have the column's name."""


class AmbiguousTimes(TimesError):
    """Times that can be read in several ways; the message names the option that decides."""


class MessageError(AdStreamsError):
    """A message of a topic that is not usable."""


class Undecodable(MessageError, ValueError):
    """A message that cannot be read; `reason` is one of `schemas.dead_letters.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class NoSchemaError(MessageError, LookupError):
    """A schema that cannot be found; the message is the reason, without the schema's id."""


class StateError(AdStreamsError, ValueError):
    """Saved state that the flow cannot resume from."""


class SnapshotError(StateError):
    """A snapshot of another version, or made with another sequence length."""


class DamagedError(StateError):
    """State that is not what was saved."""


class ServiceError(AdStreamsError):
    """An external service that cannot be used; the message names it and the reason."""


class StoreError(ServiceError):
    """The store cannot be used."""


class TopicError(ServiceError):
    """Kafka, or one of its topics, cannot be used."""


class RegistryError(ServiceError):
    """The schema registry cannot be used; the message names the setting."""


def first_problem(error: ValidationError) -> str:
    """The first problem in a JSON file, on one line: its place, and what is wrong."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{place}: no such key"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
