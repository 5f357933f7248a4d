"""Files that commands write, looked at before the work for them begins."""

from __future__ import annotations

import os
from pathlib import Path

from schemas.errors import JobError


def check_output(option: str, path: Path, endings: tuple[str, ...]) -> None:
    """Refuse a file that an option names and that could not be written.

    Args:
        option: the option, as people write it.
        path: the file.
        endings: what its name may end with.

    Raises:
        JobError: it has another ending, its directory is not there, or it may not be written.
    """
    if not path.name.lower().endswith(endings):
        raise JobError(f"{option}: {path}: must end with {' or '.join(endings)}")
    try:
        if not path.parent.is_dir():
            raise JobError(f"{option}: {path}: no such directory")
        if path.is_dir():
            raise JobError(f"{option}: {path}: is a directory")
        is_there = path.exists()
    except OSError as error:
        raise JobError(f"{option}: {path}: {error.strerror}") from None
    if not os.access(path if is_there else path.parent, os.W_OK):
        raise JobError(f"{option}: {path}: may not be written")
