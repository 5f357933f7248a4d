"""Dead letters go back in: those that are events now, each the way it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jobs.clusters import cluster_of, open_registry
from jobs.console import say
from jobs.dead_letters.keeping import Keeper, TableKeeper, keeper_of, parse_place
from jobs.dead_letters.mending import FATES, Mended, Mender
from jobs.dead_letters.through_flow import is_leftover, through_flow
from jobs.dead_letters.through_log import through_log, way_of
from jobs.dead_letters.through_topics import through_topics
from schemas.avro.codec import Codec
from schemas.dead_letters import DeadLetter
from schemas.errors import JobError
from settings import Settings


def retry(settings: Settings, places: Sequence[str], reason: str | None, recovery: Path | None) -> None:
    """Send in again the chosen letters that are valid events by now, let them go, and say what became of all.

    A letter is let go only after its event is safe: a crash in between makes a repeat of the event and loses nothing.

    Raises:
        JobError: there is no letter at a place, or the dataflow that is to take the events does not.
        TopicError, RegistryError, StoreError, SettingsError: what is worked with cannot be used.
    """
    keeper = keeper_of(settings)
    letters = [each.letter for each in keeper.letters() if not is_leftover(each.letter)]
    chosen = _chosen(letters, places, reason)
    if not chosen:
        say("no dead letters" if reason is None else f"no dead letters with the reason {reason}")
        return
    fated = [letter for letter in chosen if letter.reason in FATES and letter.reason != reason]
    with open_registry(settings, answering=True) as registry:
        mender = Mender(Codec(lookup=registry, time_unit=settings.time_unit), settings.max_skew)
        mended = mender.mend([letter for letter in chosen if letter.reason == reason or letter.reason not in FATES])
    back, stay = _send(settings, keeper, mended, recovery) if mended.letters else (0, [])
    stay += mended.bad
    say(f"{back:,} of {len(chosen):,} dead letters went back in")
    if stay:
        say(f"{len(stay):,} stay: {_by_reason(stay)}")
    if fated:
        say(f"{len(fated):,} left alone, which --reason would send in to no avail: {_by_reason(fated)}")


def _send(settings: Settings, keeper: Keeper, mended: Mended, recovery: Path | None) -> tuple[int, list[DeadLetter]]:
    if not isinstance(keeper, TableKeeper):
        return through_topics(cluster_of(settings), settings.kafka_topics, keeper, mended)
    way = recovery or way_of(settings, keeper)
    return through_log(settings, keeper, mended) if way is None else through_flow(keeper, mended, way)


def _chosen(letters: Sequence[DeadLetter], places: Sequence[str], reason: str | None) -> list[DeadLetter]:
    wanted = {parse_place(text): text for text in places}
    there = {letter.place: letter for letter in letters}
    for place, text in wanted.items():
        if place not in there:
            raise JobError(f"{text}: no such dead letter")
    chosen = [there[place] for place in wanted] if wanted else letters
    return [letter for letter in chosen if reason in (None, letter.reason)]


def _by_reason(letters: Sequence[DeadLetter]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in Counter(x.reason for x in letters).most_common())
