"""Credit for the conversions of a log, touch by touch, beside what simpler rules would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from jobs.bars import progress
from jobs.console import say, show
from jobs.log_options import print_remarks, print_span
from jobs.model_files import NO_MODELS, models_of
from jobs.outputs import check_output
from jobs.paths import PATHS, register_paths
from jobs.problems import require_store
from jobs.remarks import TimesOfDay, of_ids
from model.attribution.rules import Attribution
from model.bucket import Bucket, Snapshot, Update
from model.durations import to_milliseconds, write_duration
from model.features.automated import automated_users
from model.scoring.belief import believe
from model.scoring.known_campaigns import unknown_campaigns
from model.scoring.training_record import from_milliseconds
from model.sequences.entries import GHOST, unpack_tags
from model.sequences.merging import DISPUTED, TOO_LATE
from model.sequences.texts import texts_of
from model.timeline import Models
from schemas.credits import BASELINE, PARTS, RULES
from schemas.errors import JobError
from schemas.event_types import CONVERSIONS, IS_CONVERSION, IS_TOUCH, TYPES, one_of
from schemas.events import EVENT_ID, USER_ID, EventBatch
from schemas.grades import Grade
from schemas.logs.log_sets import LogSet
from schemas.logs.times import AS_FOUND, TimeFormat
from settings import Settings
from stores.store_registry import reader_of

NAMES = ("credit", "last touch", "first", "linear", "time decay", "position")
"""The rules for a person, in the order of `RULES`."""
_TOUCH = ("touch_time", *RULES)
_CSV, _PARQUET = (".csv", ".csv.gz"), (".parquet",)


def attribute(
    settings: Settings,
    logs: Sequence[Path],
    attribution_window: timedelta,
    to: Path | None = None,
    by_day: Path | None = None,
    paths: Path | None = None,
    by_store: bool = False,
    times: TimeFormat = AS_FOUND,
    for_spreadsheets: bool = False,
) -> None:
    """Credit every conversion of a log under the settings' model, and print the sums by campaign and type.

    Args:
        settings: name the model and the length of the sequences.
        logs: files in the event's columns, folders and patterns of `log_paths`: together they are one log.
        attribution_window: how long before a conversion a touch counts.
        to: file for all credits, a row for each touch of each order and one for its baseline.
        by_day: file for the sums by UTC day of the order, campaign and type, in the columns of `credit_by_day`.
        paths: file for the paths, counted: `path,total_conversions,total_conversion_value,total_null,separator`.
        by_store: whether to credit by the models of the store, each conversion by the one of its time, instead.
        times: how the log writes its times, as far as that is known.
        for_spreadsheets: whether texts of CSV files that a spreadsheet takes for formulas get a ' before them.

    Raises:
        LogFileError: the log cannot be read.
        JobError: nobody converts in it, a file cannot be written, or there is no store to take models from.
        StoreError: the store cannot be used.
    """
    files = LogSet(logs, times)
    taken = {file.path.resolve(): "the log itself" for file in files.files}
    for name, path, endings in (
        ("--to", to, _CSV + _PARQUET),
        ("--by-day", by_day, _CSV + _PARQUET),
        ("--paths", paths, _CSV),
    ):
        if path is not None:
            check_output(name, path, endings)
            if path.resolve() in taken:
                raise JobError(f"{name}: {path} is {taken[path.resolve()]}")
            taken[path.resolve()] = f"the file of {name}"
    models, grades = _models_of_the_store(settings) if by_store else (Models(settings.loaded_model), [])
    found, clock = _Credits(models, settings.sequence_length, to_milliseconds(attribution_window)), TimesOfDay()
    events = 0
    print_remarks(files.remarks)
    with progress() as bar:
        task = bar.add_task("crediting", total=None)
        for decoded in files.decoded():
            found.take(decoded.events)
            clock.note(decoded.events.rows["timestamp"])
            events += len(decoded.events)
            bar.update(task, completed=events)
    rejected = f", {files.rejected:,} rows were no events" if files.rejected else ""
    rejected += f", {found.refused:,} came too late" if found.refused else ""
    tables = found.tables()
    ((count, users),) = tables.sql("SELECT count(*), count(DISTINCT user_id) FROM conversions").fetchall()
    ((value,),) = tables.sql("SELECT coalesce(fsum(revenue), 0) FROM events WHERE part <> 'repeat'").fetchall()
    if not count:
        names, code = " ".join(map(str, logs)), one_of(CONVERSIONS)
        raise JobError(f"{names}: none of its {events:,} events is a conversion ({code}){rejected}")
    say(f"{count:,} conversions of {users:,} users, revenue {value:,.2f}, from {events:,} events{rejected}")
    print_span(files.span)
    remarks = (*_of_orders(tables), *_of_automated(tables, found, settings.daily_limit))
    for line in (*remarks, *of_ids(found.retimed), *clock.remarks()):
        say(line)
    window = write_duration(attribution_window)
    say(f"credited by {_named_models(models)}; touches of up to {window} before a conversion")
    _show(tables)
    for line in _doubts(models, grades, settings, found.campaigns):
        say(line)
    if to is not None:
        _write(
            tables,
            "SELECT * FROM credits ORDER BY user_id, conversion_time, conversion_id, touch_time",
            to,
            for_spreadsheets,
        )
    if by_day is not None:
        _write(tables, _BY_DAY, by_day, for_spreadsheets)
    if paths is not None:
        _write(tables, PATHS, paths, for_spreadsheets)


def _named_models(models: Models) -> str:
    """The models with the horizons that they credit for, and from when on those that follow the first do."""
    names = []
    for number, model in enumerate(models.models):
        start = f" from {from_milliseconds(model.start)} on" if number else ""
        names.append(f"{model.id}{start} ({write_duration((model.attribution or model).horizon)} horizon)")
    return ", ".join(names)


def _doubts(models: Models, grades: list[Grade], settings: Settings, campaigns: set[str]) -> list[str]:
    """What speaks against the models' credit, a line each."""
    lines = []
    for model in models.models:
        belief = believe(model, grades, settings.advice)
        if not belief.believed:
            lines.append(f"the column credit is not to be relied on: {belief.why}")
        if unknown := unknown_campaigns(model, campaigns):
            lines.append(unknown)
    return lines


def _models_of_the_store(settings: Settings) -> tuple[Models, list[Grade]]:
    """The models of the store that the settings name, and their grades.

    Raises:
        JobError: there is no store, or it has no models.
        StoreError: the store cannot be used, or has something among its models that is none.
    """
    require_store(settings)
    with closing(reader_of(settings)()) as reader:
        stored, grades = reader.models(), reader.grades()
    if not stored:
        raise JobError(NO_MODELS)
    return models_of(stored, settings.loaded_model), grades


class _Credits:
    """All conversions of a log, and the credits of each as they were computed last.

    `refused` events came after so many later ones of their user that they have no part, as in the stream; `retimed`
    ones had an id that their user had at another time within a day.
    """

    def __init__(self, models: Models, length: int, attribution_window: int) -> None:
        self._bucket = Bucket(models.plan, length)
        self._attribution, self._attribution_window = Attribution(models, attribution_window), attribution_window
        self._credits, self._conversions = list[pa.Table](), list[pa.Table]()
        self.refused = self.retimed = 0

    @cached_property
    def sequences(self) -> Snapshot:
        """All users' sequences, once all is taken."""
        return self._bucket.snapshot()

    @property
    def campaigns(self) -> set[str]:
        """Those of the touches."""
        types, numbers = unpack_tags(self.sequences.entries["tag"])
        names = texts_of(*self.sequences.campaigns)
        return {names[number].decode() for number in np.unique(numbers[IS_TOUCH[types]]).tolist()}

    def automated(self, most: int) -> list[str]:
        """The users with more than `most` events within 24 hours, of those events that are kept."""
        entries, sizes = self.sequences.entries, self.sequences.sizes["size"]
        live = (entries["tag"] & GHOST) == 0
        users = np.repeat(np.arange(len(sizes)), sizes)[live]
        found = automated_users(users, entries["timestamp"][live], most, len(sizes))
        ids = texts_of(*self.sequences.users)
        return [ids[user].decode() for user in np.flatnonzero(found).tolist()]

    def take(self, events: EventBatch) -> None:
        """Credit the conversions of a batch, and those of before that it changes."""
        update = self._bucket.update(events, self._attribution)
        if len(update.credits):
            self._credits.append(self._credited(events, update))
        self.retimed += update.retimed
        accepted = (update.fates != TOO_LATE) & (update.fates != DISPUTED)
        self.refused += int((~accepted).sum())
        came = np.flatnonzero(IS_CONVERSION[events.rows["type"]] & accepted)
        if len(came):
            self._conversions.append(
                pa.table(
                    {
                        "user_id": events.texts(USER_ID, came),
                        "conversion_id": events.texts(EVENT_ID, came),
                        "conversion_time": events.rows["timestamp"][came],
                        "conversion_key": events.rows["event_key"][came],
                        "revenue": events.rows["revenue"][came],
                    }
                )
            )

    def _credited(self, events: EventBatch, update: Update) -> pa.Table:
        credits, campaigns = update.credits.rows, np.array(update.credits.campaigns, object)
        conversions = update.outcomes[credits["outcome"]]
        return pa.table(
            {
                "user_id": events.texts(USER_ID, conversions["user_row"]),
                "conversion_time": conversions["timestamp"],
                "conversion_key": conversions["event_key"],
                "batch": np.full(len(credits), len(self._credits)),
                "touch": np.arange(len(credits)),
                "part": pa.array(np.array(PARTS, object)[credits["part"]], pa.string()),
                "order_time": np.ascontiguousarray(credits["order_time"]),
                "type": _named(credits["type"]),
                "campaign": pa.array(campaigns[credits["campaign"]], pa.string()),
                **{name: np.ascontiguousarray(credits[name]) for name in _TOUCH},
            }
        )

    def tables(self) -> duckdb.DuckDBPyConnection:
        """The tables of credit, and those of the paths where there are conversions.

        `events` are all conversion events with what each is to its order, `conversions` the orders with what all their
        events and refunds come to, `shares` what each event is credited to, and `credits` what each order is.
        """
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        connection.register("came", pa.concat_tables(self._conversions) if self._conversions else _NO_CONVERSIONS)
        connection.register("credited", pa.concat_tables(self._credits) if self._credits else _NO_CREDITS)
        for statement in _TABLES:
            connection.sql(statement)
        if self._credits:
            register_paths(connection, self.sequences, self._attribution_window)
        return connection


_NO_CONVERSIONS = pa.table(
    {
        "user_id": pa.array([], pa.string()),
        "conversion_id": pa.array([], pa.string()),
        "conversion_time": pa.array([], pa.int64()),
        "conversion_key": pa.array([], pa.int64()),
        "revenue": pa.array([], pa.float64()),
    }
)
_NO_CREDITS = pa.table(
    {
        "user_id": pa.array([], pa.string()),
        "conversion_time": pa.array([], pa.int64()),
        "conversion_key": pa.array([], pa.int64()),
        "batch": pa.array([], pa.int64()),
        "touch": pa.array([], pa.int64()),
        "part": pa.array([], pa.string()),
        "order_time": pa.array([], pa.int64()),
        "type": pa.array([], pa.string()),
        "campaign": pa.array([], pa.string()),
        "touch_time": pa.array([], pa.int64()),
        **{rule: pa.array([], pa.float64()) for rule in RULES},
    }
)
_TABLES = (
    """
CREATE TABLE shares AS
FROM credited QUALIFY batch = max(batch) OVER (PARTITION BY user_id, conversion_time, conversion_key)
""",
    # Repeats are one event; where they disagree, the greatest revenue is kept, in the order of the tables.
    """
CREATE TABLE events AS
SELECT user_id, conversion_time, conversion_key, min(conversion_id) AS conversion_id,
  arg_max(revenue, (revenue < 0, abs(revenue))) AS revenue, any_value(part) AS part, any_value(order_time) AS order_time
FROM came JOIN (SELECT DISTINCT user_id, conversion_time, conversion_key, part, order_time FROM shares)
USING (user_id, conversion_time, conversion_key)
GROUP BY user_id, conversion_time, conversion_key
""",
    """
CREATE TABLE conversions AS
SELECT user_id, order_time AS conversion_time, any_value(conversion_key) FILTER (part = 'order') AS conversion_key,
  any_value(conversion_id) FILTER (part = 'order') AS conversion_id,
  fsum(revenue) FILTER (part <> 'repeat') AS revenue
FROM events GROUP BY user_id, order_time HAVING count(*) FILTER (part = 'order') > 0
""",
    f"""
CREATE TABLE credits AS
SELECT user_id, conversion_id, make_timestamp_ms(conversion_time) AS conversion_time, revenue,
  CASE WHEN type = '' THEN NULL ELSE make_timestamp_ms(touch_time) END AS touch_time, type, campaign,
  {", ".join(RULES)}, touch
FROM shares JOIN conversions USING (user_id, conversion_time, conversion_key)
""",
)
_SUMS = ", ".join(f"fsum(CASE part WHEN 'order' THEN {rule} ELSE 0 END) AS {rule}" for rule in RULES)
_REVENUES = ", ".join(f"fsum(revenue * {rule}) AS {rule}_revenue" for rule in RULES)
_COUNTED = """
(SELECT shares.*, revenue FROM shares JOIN events USING (user_id, conversion_time, conversion_key)
WHERE shares.part <> 'repeat')
"""
_BY_DAY = f"""
SELECT make_timestamp_ms(order_time)::DATE AS day, campaign, type, {_SUMS}, {_REVENUES}
FROM {_COUNTED} GROUP BY day, campaign, type ORDER BY day, type = '', campaign, type
"""


def _of_automated(tables: duckdb.DuckDBPyConnection, found: _Credits, most: int) -> Iterator[str]:
    """How many of the conversions are those of automated users, where there are any."""
    users = found.automated(most)
    if not users:
        return
    tables.register("automated", pa.table({"user_id": pa.array(users, pa.string())}))
    ((own, count),) = tables.sql(
        "SELECT count(*) FILTER (user_id IN (SELECT user_id FROM automated)), count(*) FROM conversions"
    ).fetchall()
    who = "1 automated user has" if len(users) == 1 else f"{len(users):,} automated users have"
    yield (
        f"{who} {own:,} of the {count:,} conversions, credited as all others are: more than {most:,} events within 24 "
        "hours (ADSTREAMS_MAX_DAILY_EVENTS)"
    )


def _of_orders(tables: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """What a reader should know of orders of several events, and of refunds."""
    ((items, repeats, refunds, back, orphans, lost),) = tables.sql(
        """
SELECT count(*) FILTER (part = 'item'), count(*) FILTER (part = 'repeat'), count(*) FILTER (part = 'refund'),
  fsum(revenue) FILTER (part = 'refund'), count(*) FILTER (part = 'refund' AND is_orphan),
  fsum(revenue) FILTER (part = 'refund' AND is_orphan)
FROM (
  SELECT part, revenue, NOT EXISTS (
    FROM conversions WHERE conversions.user_id = events.user_id AND conversions.conversion_time = order_time
  ) AS is_orphan FROM events
)
"""
    ).fetchall()
    if items:
        yield f"{items:,} more conversion events are items of an order less than a minute before: counted with it"
    if repeats:
        yield f"{repeats:,} conversion events have the id of an earlier one of their order: counted once"
    if refunds:
        yield f"{refunds:,} refund{'' if refunds == 1 else 's'}, {back:,.2f}: taken from the newest order before"
    if orphans:
        yield f"{orphans:,} of them, {lost:,.2f}, with no order before: in the sums as no touch's, in no row of --to"


def _named(types: NDArray[np.integer]) -> pa.Array:
    return pa.array([TYPES[kind] if kind != BASELINE else "" for kind in types.tolist()], pa.string())


def _show(tables: duckdb.DuckDBPyConnection) -> None:
    """Print what each campaign and type of touch is credited with, the most first."""
    table = Table("campaign", "type", box=None, header_style="bold", title_justify="left", padding=(0, 1, 0, 0))
    table.title = "Conversions by rule, beside the revenue that the model credits"
    for name in ("revenue", *NAMES):
        table.add_column(name.replace(" ", "\n"), justify="right")
    sums = ", ".join(f"sum(CASE part WHEN 'order' THEN {rule} ELSE 0 END)" for rule in RULES)
    for campaign, kind, everything, *numbers in tables.sql(
        f"SELECT campaign, type, grouping(campaign), sum(revenue * credit), {sums} FROM {_COUNTED} "
        "GROUP BY GROUPING SETS ((campaign, type), ()) ORDER BY grouping(campaign), type = '', 5 DESC"
    ).fetchall():
        name = "all" if everything else campaign if kind else "no touch"
        table.add_row(escape(name), kind, *(f"{number:,.1f}" for number in numbers), style="bold" if everything else "")
    show(table)


_HARMLESS = r"""
CASE WHEN regexp_matches({name}, '^\s*[=+\-@＝＋－＠]|^[\t\r\n]') THEN chr(39) || {name} ELSE {name} END AS {name}
"""
"""A text that no spreadsheet takes for a formula; full-width signs begin one too where they are typed."""


def _write(tables: duckdb.DuckDBPyConnection, query: str, path: Path, for_spreadsheets: bool) -> None:
    kind = "PARQUET" if path.name.lower().endswith(_PARQUET) else "CSV"
    try:
        if for_spreadsheets and kind == "CSV":
            rows = tables.sql(query)
            texts = [name for name, of in zip(rows.columns, rows.types, strict=True) if of == "VARCHAR"]
            query = f"SELECT * REPLACE ({', '.join(_HARMLESS.format(name=name) for name in texts)}) FROM ({query})"
        tables.sql(f"COPY ({query}) TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT {kind})")
    except (duckdb.Error, OSError) as error:
        raise JobError(f"{path}: {str(error).splitlines()[0]}") from None
