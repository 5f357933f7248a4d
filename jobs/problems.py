"""Expected errors of a command, as one plain line and exit code 2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from schemas.errors import (
    AdStreamsError,
    JobError,
)
from settings import Settings, Store, stop


def require_store(settings: Settings) -> None:
    """Fail where the embedded store's file is not there: a command must not make it.

    Raises:
        JobError: it is not.
    """
    if settings.store is Store.SQLITE and not settings.sqlite_path.exists():
        raise JobError(f"ADSTREAMS_SQLITE_PATH: {settings.sqlite_path}: no such file")


@contextlib.contextmanager
def plainly(interrupted: str = "nothing was written") -> Iterator[None]:
    """Say an expected error on one line, without a traceback; `interrupted` is what Ctrl-C leaves behind."""
    try:
        yield
    except AdStreamsError as error:
        stop(error)
    except PermissionError as error:
        stop(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        stop(f"interrupted; {interrupted}")
