"""What must not change during the life of a recovery directory, kept in it and checked before the flow starts.

Buckets decide under which key a user's sequence lies, and the sequence length what it holds: with others, old state
would silently be left behind.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from model.bucket import SNAPSHOT_VERSION
from settings import Settings, SettingsError

NAME = "ad-streams.json"


def recovery_directory(arguments: list[str]) -> Path | None:
    """The recovery directory of a `python -m bytewax.run` command line or of Bytewax's environment variable."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-r", "--recovery-directory", default=os.environ.get("BYTEWAX_RECOVERY_DIRECTORY"))
    known, _ = parser.parse_known_args(arguments)
    return Path(known.recovery_directory) if known.recovery_directory else None


def check_recovery(directory: Path, settings: Settings) -> None:
    """Note the settings that are fixed in a new directory, and compare them in an old one.

    Raises:
        SettingsError: the directory cannot be used, or was made with other settings.
    """
    fixed = {
        "ADSTREAMS_BUCKETS": settings.buckets,
        "ADSTREAMS_SEQUENCE_LENGTH": settings.sequence_length,
        "snapshot version": SNAPSHOT_VERSION,
    }
    if not any(directory.glob("part-*.sqlite3")):
        raise SettingsError(f"recovery directory {directory}: make it with python -m bytewax.recovery {directory} 2")
    draft = directory / f".{os.getpid()}-{NAME}"
    try:
        draft.write_text(json.dumps(fixed))
        try:
            (directory / NAME).hardlink_to(draft)
        except FileExistsError:
            held = json.loads((directory / NAME).read_text())
        else:
            held = fixed
        finally:
            draft.unlink()
    except (OSError, ValueError) as error:
        raise SettingsError(f"recovery directory {directory}: {error}") from None
    for name, value in fixed.items():
        if held.get(name) != value:
            raise SettingsError(f"{name}: recovery directory {directory} was made with {held.get(name)}, not {value}")
