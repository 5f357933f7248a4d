"""Dead letters of logs that are read without a recovery directory: the dataflow reads the logs again.

Nothing but the logs knows the sequences then. The rows that are events by now are events in the logs too, and all
others are computed again to the same values.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

from jobs.dead_letters.keeping import TableKeeper
from jobs.dead_letters.mending import Mended
from jobs.dead_letters.through_flow import run_over
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from schemas.flow_status import ENDED, members_of
from schemas.provenance import FILE, Provenance, named, state_of
from settings import RECOVERY_NOTE, Settings, Source, Store

USUAL = Path("recovery")
"""The recovery directory of a store that does not say which is its own."""
_MARK = "sent in again; before: "


def way_of(settings: Settings, keeper: TableKeeper) -> Path | None:
    """The recovery directory that keeps the store's sequences, in this folder or the store's; None where none does.

    Raises:
        JobError: the directory is not here, or the store is not one of log files.
        StoreError: the store cannot be read.
    """
    with keeper.reading() as reader:
        text = reader.provenance()
    if text is None:
        return USUAL
    try:
        held = Provenance.from_json(text)
    except ValueError as error:
        raise JobError(str(error)) from None
    if held.source != FILE:
        raise JobError(f"the store holds {held}: rows of log files cannot be added")
    if held.state is None:
        return None
    folders = [Path(), *([settings.sqlite_path.parent] if settings.store is Store.SQLITE else [])]
    found = [each for folder in folders for each in folder.iterdir() if each.is_dir() and _state_in(each) == held.state]
    if not found:
        raise JobError("--recovery: needed, because the store's recovery directory is not here")
    return USUAL if USUAL in found else min(found)


def _state_in(directory: Path) -> str | None:
    try:
        note = json.loads((directory / RECOVERY_NOTE).read_text())
    except (OSError, ValueError):
        return None
    return state_of(note) if isinstance(note, dict) else None


def through_log(settings: Settings, keeper: TableKeeper, mended: Mended) -> tuple[int, list[DeadLetter]]:
    """Let the dataflow read its logs again, and clear the letters that do not come again.

    Returns how many went in, and those that died again. If anything ends before the letters are cleared, the next
    retry does the same.

    Raises:
        JobError: the settings do not name the letters' logs, or the dataflow failed or was ended.
        StoreError: the letters cannot be cleared.
    """
    logs = [str(path) for path in settings.files] if settings.source is Source.FILE else []
    strange = sorted({letter.source for letter in mended.letters} - set(logs))
    if strange:
        raise JobError(
            f"ADSTREAMS_SOURCE and ADSTREAMS_FILE: must be as the dataflow had them, which kept no recovery directory"
            f" and reads its logs again; {named(strange)} is not among them"
        )
    marked = {letter.place: replace(letter, detail=f"{_MARK}{letter.detail}") for letter in mended.letters}
    with keeper.writing() as writer:
        writer.write_dead_letters(list(marked.values()))
    began = time.time_ns() // 1_000_000
    run_over(str(settings.file), None, f"the dataflow reads {named(list(logs))} again")
    with keeper.reading() as reader:
        if not all(each.state == ENDED and each.started >= began for each in members_of(reader.statuses())):
            raise JobError("the dataflow ended before it had read all; retry again")
        now = {place: reader.dead_letter(*place) for place in marked}
    stay = [letter for place, letter in now.items() if letter is not None and letter != marked[place]]
    back = [letter for place, letter in marked.items() if now[place] in (None, letter)]
    with keeper.writing() as writer:
        writer.clear_dead_letters(back)
    return len(back), stay
