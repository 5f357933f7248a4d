"""Expected errors of a command, as one plain line and exit code 2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from schemas.columns import ColumnsError
from schemas.log_files import LogFileError
from settings import SettingsError, stop
from stores.base import StoreError
from topics.client import TopicError
from topics.problems import RegistryError


class JobError(Exception):
    """A command cannot do its work; the message is one line."""


_EXPECTED = (JobError, LogFileError, ColumnsError, SettingsError, StoreError, TopicError, RegistryError)


@contextlib.contextmanager
def plainly(interrupted: str = "nothing was written") -> Iterator[None]:
    """Say an expected error on one line, without a traceback; `interrupted` is what Ctrl-C leaves behind."""
    try:
        yield
    except _EXPECTED as error:
        stop(error)
    except KeyboardInterrupt:
        stop(f"interrupted; {interrupted}")
