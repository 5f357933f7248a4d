"""Settings: environment variables `ADSTREAMS_*`, checked before anything starts.

Models and actions are compiled code; they are imported where their files are read, and reading a setting loads none.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from model.durations import Duration
from schemas.advice import Policy
from schemas.errors import ActionsFileError, LogFileError, ModelFileError, SettingsError
from schemas.logs.log_paths import log_paths
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import TimeFormat, TimeUnit
from schemas.visible import visible

if TYPE_CHECKING:
    from model.actions.catalogue import Actions
    from model.scoring.propensity import Model

_PREFIX = "ADSTREAMS_"
_SECRET = {f"{_PREFIX}{name}" for name in ("CASSANDRA_PASSWORD", "KAFKA_CONFIG", "SCHEMA_REGISTRY_URL")}
"""Settings whose values are never shown."""
IN_FILE = "_FILE"
"""Behind a secret's name: the file that holds it."""
_FIXED_KAFKA = {
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.idempotence",
    "isolation.level",
    "enable.partition.eof",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "delivery.report.only.error",
    "message.timeout.ms",
}
"""librdkafka settings that the guarantees rest on."""
LEAST_LOOK_BACK = timedelta(minutes=1)
LEAST_PEER_TIMEOUT = timedelta(seconds=1)
LONGEST_SEQUENCE = 10_000
"""The most events of a user that may count: a conversion's touches are one value in Cassandra, of at most 3 MB so."""

MISTAKEN = 2
"""Exit code of a start that the settings do not allow: another try would fail alike."""
RESTART = 75
"""Exit code that requests a restart: a topic has more partitions now (EX_TEMPFAIL)."""
RECOVERY_NOTE = "ad-streams.json"
"""File in a recovery directory with what is fixed for the directory's life."""

RETRY_FOLDER = "ad-streams-retry-"
"""How the name of a folder begins whose log holds mended dead letters: it is read once, and gone then."""


class Source(StrEnum):
    """Where events come from."""

    SIMULATOR = "simulator"
    FILE = "file"
    KAFKA = "kafka"


class Store(StrEnum):
    """Where scored rows go."""

    SQLITE = "sqlite"
    CASSANDRA = "cassandra"


class Consistency(StrEnum):
    """How many replicas must have a write, or answer a read."""

    ONE = "ONE"
    TWO = "TWO"
    THREE = "THREE"
    QUORUM = "QUORUM"
    ALL = "ALL"
    LOCAL_QUORUM = "LOCAL_QUORUM"
    EACH_QUORUM = "EACH_QUORUM"
    LOCAL_ONE = "LOCAL_ONE"


def _listed(value: object) -> object:
    """The parts of a list with commas between them."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("must be different names with commas between them")
    return names


def known_zone(name: str) -> str:
    """A zone's name that the time zone database knows, and every machine alike.

    Raises:
        ValueError: it does not.
    """
    try:
        ZoneInfo("" if name == "localtime" else name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from None
    return name


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_named)]


def _object(value: object) -> object:
    """What a JSON text holds."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a JSON object") from None


Held = TypeVar("Held")
Plain = str | int | float | bool
Table = Annotated[dict[str, Plain], NoDecode, BeforeValidator(_object)]


class Settings(BaseSettings):
    """All settings, frozen. Each field is the environment variable `ADSTREAMS_` + its name."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, allow_inf_nan=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment alone, and beside it the files that it names for secrets."""
        assert isinstance(env_settings, EnvSettingsSource)
        held = {name.lower(): text for name, text in _secrets_in_files().items()}
        env_settings.env_vars = {**env_settings.env_vars, **held}
        return init_settings, env_settings

    source: Source = Field(Source.SIMULATOR, description="Where events come from: `simulator`, `file` or `kafka`.")
    file: Path | None = Field(
        None,
        description="Log to read: CSV, JSON lines, Parquet or Avro container in the event's columns; or a folder, a"
        " pattern, or several with commas between them.",
    )
    time_unit: TimeUnit = Field(
        TimeUnit.AUTO,
        description="Unit of numeric times since 1970 where nothing declares it: `s`, `ms`, `us`, `ns`, or `auto`.",
    )
    date_order: DateOrder = Field(
        DateOrder.AUTO, description="Order of day and month in a log's dates: `dmy`, `mdy`, `ymd`, or `auto`."
    )
    time_zone: Annotated[str, AfterValidator(known_zone)] = Field("UTC", description="Zone of times that name none.")
    simulator_users: Annotated[int, Field(ge=1, le=50_000_000)] = Field(7_000, description="Simulated population.")
    simulator_events: Annotated[int, Field(ge=0)] = Field(
        0, description="Number of simulated events before a clean end; 0 = endless."
    )
    simulator_rate: Annotated[float, Field(ge=0)] = Field(
        200.0, description="Simulated events a wall-clock second; 0 = as fast as it can."
    )
    simulator_seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(7, description="Same seed, same events.")
    simulator_start: Annotated[date, Field(ge=date(1970, 1, 1), lt=date(2100, 1, 1))] = Field(
        date(2017, 6, 15), description="Day of the first simulated event."
    )
    kafka_brokers: Names = Field((), description="Kafka's bootstrap servers: host:port, with commas between them.")
    kafka_topics: Names = Field(("events", "conversions"), description="Topics to read.")
    kafka_propensity_topic: Annotated[str, Field(min_length=1)] = Field(
        "propensity", description="Compacted topic that scores are published to, keyed by user."
    )
    kafka_dead_letter_topic: Annotated[str, Field(min_length=1)] = Field(
        "dead-letters", description="Compacted topic for messages that are no valid events."
    )
    kafka_config: Table = Field(
        {}, repr=False, description="librdkafka settings as a JSON object, for TLS, SASL and the group id."
    )
    schema_registry_url: SecretStr | None = Field(
        None, description="Schema registry; with it messages have Confluent framing, else single-object encoding."
    )
    store: Store = Field(Store.SQLITE, description="Where scored rows are kept: `sqlite` or `cassandra`.")
    sqlite_path: Path = Field(Path("adstreams.db"), description="File of the embedded store.")
    cassandra_hosts: Names = Field(("127.0.0.1",), description="Contact points, with commas between them.")
    cassandra_port: Annotated[int, Field(ge=1, le=65_535)] = Field(9042, description="Port of the native protocol.")
    cassandra_keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = Field(
        "adstreams", description="Keyspace of the tables."
    )
    cassandra_datacenter: str | None = Field(
        None, description="Local data centre; needed where the cluster has several."
    )
    cassandra_username: str | None = Field(None, description="Role to log in with.")
    cassandra_password: SecretStr | None = Field(None, description="The role's password.")
    cassandra_tls_ca: Path | None = Field(
        None, description="PEM file of the authority behind the servers' certificates."
    )
    cassandra_consistency: Consistency = Field(
        Consistency.LOCAL_QUORUM, description="Replicas that must acknowledge a write, or answer a read."
    )
    retention_days: Annotated[int, Field(ge=0, le=7_300)] = Field(
        0, description="Days after its event at which a row in Cassandra expires; 0 = never."
    )
    model: Path = Field(Path(__file__).parent / "model" / "default.json", description="Model file.")
    challenger_model: Path | None = Field(
        None, description="Model file that is graded beside the model, and never used for scores or advice."
    )
    actions: Annotated[Path | None, BeforeValidator(lambda value: value or None)] = Field(
        Path(__file__).parent / "model" / "actions.json",
        description="File of actions; empty = none. The default has made-up costs, for the simulated world alone.",
    )
    advice: Policy = Field(
        Policy.BELIEVED,
        description="Models that recommend actions and give credit: `believed`, those without a grade against them;"
        " `graded`, those that a grade shows to be better than the base rate; `always`, all.",
    )
    look_back: Annotated[Duration, Field(ge=LEAST_LOOK_BACK)] = Field(
        "30d",
        validate_default=True,
        description="Attribution window: the longest time from a touch to a conversion that it is credited with.",
    )
    buckets: Annotated[int, Field(ge=1, le=4_096)] = Field(
        64, description="Buckets of users; fixed for the life of a recovery directory."
    )
    sequence_length: Annotated[int, Field(ge=1, le=LONGEST_SEQUENCE)] = Field(
        1_000, description="Newest events of a user that count; fixed for the life of a recovery directory."
    )
    max_daily_events: Annotated[int, Field(ge=0)] = Field(
        500, description="Events of a user within 24 hours above which the user is set apart as automated; 0 = never."
    )
    peer_timeout: Annotated[Duration, Field(ge=LEAST_PEER_TIMEOUT)] = Field(
        "1min",
        validate_default=True,
        description="How long a process of several waits at its start for the others.",
    )
    max_skew: Duration = Field(
        "1h",
        validate_default=True,
        description="How much later than its message an event's time may be.",
    )

    @cached_property
    def files(self) -> list[Path]:
        """The files that `file` names.

        Raises:
            SettingsError: there is none, or one is no log.
        """
        try:
            return [] if self.file is None else log_paths([self.file])
        except LogFileError as error:
            raise SettingsError(f"ADSTREAMS_FILE: {error}") from None

    @property
    def time_format(self) -> TimeFormat:
        """How a log writes its times, as far as the settings decide."""
        return TimeFormat(self.time_unit, self.date_order, self.time_zone)

    @property
    def daily_limit(self) -> int:
        """`max_daily_events`, or 0 where no more events of a user than that count."""
        return self.max_daily_events if self.max_daily_events < self.sequence_length else 0

    @property
    def simulator_start_time(self) -> int:
        """The first simulated event's day, in ms since 1970."""
        day = datetime.combine(self.simulator_start, datetime.min.time(), UTC)
        return round(day.timestamp() * 1000)

    @cached_property
    def loaded_model(self) -> Model:
        """The model of the model file.

        Raises:
            SettingsError: there is no such file, or it is not a model.
        """
        from model.scoring.propensity import Model

        return _held_in("ADSTREAMS_MODEL", self.model, Model.from_json)

    @cached_property
    def loaded_challenger(self) -> Model | None:
        """The model that is graded beside the model, None where there is none.

        Raises:
            SettingsError: there is no such file, it is not a model, or it has the model's id.
        """
        if self.challenger_model is None:
            return None
        from model.scoring.propensity import Model

        name = "ADSTREAMS_CHALLENGER_MODEL"
        challenger = _held_in(name, self.challenger_model, Model.from_json)
        if challenger.id == self.loaded_model.id:
            raise SettingsError(f"{name}: {self.challenger_model}: has the id of the model itself, {challenger.id!r}")
        return challenger

    @cached_property
    def example_actions(self) -> Actions | None:
        """The examples, where nobody named a file of actions; else None."""
        if "actions" in self.model_fields_set or self.actions is None:
            return None
        from model.actions.catalogue import Actions

        return _held_in("ADSTREAMS_ACTIONS", self.actions, Actions.from_json)

    @cached_property
    def loaded_actions(self) -> Actions:
        """The actions of their file. Unless they are named, the examples apply to the simulated world alone.

        Raises:
            SettingsError: there is no such file, or it holds no actions.
        """
        from model.actions.catalogue import Actions

        if self.example_actions is not None and self.source is not Source.SIMULATOR:
            return Actions.none()
        if self.actions is None:
            return Actions.none()
        return _held_in("ADSTREAMS_ACTIONS", self.actions, Actions.from_json)


def _held_in(name: str, file: Path, read: Callable[[bytes], Held]) -> Held:
    """What the file that a setting names holds."""
    try:
        return read(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{name}: {file}: {error.strerror}") from None
    except (ModelFileError, ActionsFileError) as error:
        raise SettingsError(f"{name}: {file}: {error}") from None


def _secrets_in_files() -> dict[str, str]:
    """The secrets that files hold, by the names of their settings.

    Raises:
        SettingsError: a file cannot be read, or the secret is given beside it.
    """
    found = {}
    for name in sorted(_SECRET):
        path = os.environ.get(name + IN_FILE)
        if path is None:
            continue
        if name in os.environ:
            raise SettingsError(f"{name}: given beside {name}{IN_FILE}; give one of them")
        try:
            found[name] = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise SettingsError(f"{name}{IN_FILE}: {path}: {reason}") from None
    return found


def setting_names() -> list[str]:
    """The names of all settings, as environment variables."""
    return [_PREFIX + field.upper() for field in Settings.model_fields]


def load_settings() -> Settings:
    """The settings of this environment, with the files of model and actions read and the log file there.

    Raises:
        SettingsError: the first setting that is wrong.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = _PREFIX + str(first["loc"][0]).upper()
        problem, value = first["msg"].removeprefix("Value error, "), repr(first["input"])
        got = "" if name in _SECRET or value in problem else f", got {value}"
        raise SettingsError(f"{name}: {problem}{got}") from None
    names = [*setting_names(), *(name + IN_FILE for name in sorted(_SECRET))]
    unknown = [name for name in os.environ if name.startswith(_PREFIX) and name not in names]
    if unknown:
        near = get_close_matches(unknown[0], names, 1)
        raise SettingsError(f"{unknown[0]}: no such setting{f', did you mean {near[0]}?' if near else ''}")
    if "max_daily_events" in settings.model_fields_set and settings.daily_limit != settings.max_daily_events:
        raise SettingsError(
            f"ADSTREAMS_MAX_DAILY_EVENTS: must be below ADSTREAMS_SEQUENCE_LENGTH, the events of a user that count"
            f" ({settings.sequence_length:,}), got {settings.max_daily_events:,}"
        )
    _check_services(settings)
    settings.loaded_model, settings.loaded_actions  # noqa: B018 read now, so that a wrong file stops the start
    settings.loaded_challenger  # noqa: B018 likewise
    if settings.source is Source.FILE:
        if settings.file is None:
            raise SettingsError("ADSTREAMS_FILE: needed when ADSTREAMS_SOURCE is file")
        settings.files  # noqa: B018 looked for now, so that a missing one stops the start
    elif settings.file is not None:
        raise SettingsError(f"ADSTREAMS_FILE: not read while ADSTREAMS_SOURCE is {settings.source}; set it to file")
    return settings


def _require_file(name: str, path: Path) -> None:
    """Fail unless a setting's file is there."""
    try:
        if not path.is_file():
            raise SettingsError(f"{name}: {path}: {'not a file' if path.exists() else 'no such file'}")
    except OSError as error:
        raise SettingsError(f"{name}: {path}: {error.strerror}") from None


def _check_services(settings: Settings) -> None:
    """What settings of Kafka and Cassandra must be like together."""
    if settings.source is Source.KAFKA and not settings.kafka_brokers:
        raise SettingsError("ADSTREAMS_KAFKA_BROKERS: needed when ADSTREAMS_SOURCE is kafka")
    for server in settings.kafka_brokers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise SettingsError(f"ADSTREAMS_KAFKA_BROKERS: must be host:port, got {server!r}")
    outputs = (settings.kafka_propensity_topic, settings.kafka_dead_letter_topic)
    for name, topic in zip(("PROPENSITY", "DEAD_LETTER"), outputs, strict=True):
        if topic in settings.kafka_topics or outputs.count(topic) > 1:
            raise SettingsError(f"ADSTREAMS_KAFKA_{name}_TOPIC: {topic} is already in use as an input or output topic")
    fixed = settings.kafka_config.keys() & _FIXED_KAFKA
    if fixed:
        raise SettingsError(f"ADSTREAMS_KAFKA_CONFIG: {min(fixed)} is set by Ad-Streams itself")
    if (settings.cassandra_username is None) != (settings.cassandra_password is None):
        missing = "PASSWORD" if settings.cassandra_password is None else "USERNAME"
        raise SettingsError(f"ADSTREAMS_CASSANDRA_{missing}: a role needs both a user name and a password")
    if settings.cassandra_tls_ca is not None:
        _require_file("ADSTREAMS_CASSANDRA_TLS_CA", settings.cassandra_tls_ca)
    if settings.retention_days and settings.store is not Store.CASSANDRA:
        raise SettingsError("ADSTREAMS_RETENTION_DAYS: only the cassandra store expires rows; set it to 0")


def stop(problem: object) -> NoReturn:
    """End the program with one plain line and exit code `MISTAKEN`."""
    print(f"ad-streams: {visible(str(problem))}", file=sys.stderr)
    sys.exit(MISTAKEN)


def start_logging() -> None:
    """Write what the programs log to standard error, with date, time and the machine's offset from UTC."""
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(asctime)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class VisibleFormatter(logging.Formatter):
    """Keeps a message on its line, and shows what would move a terminal's cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 its name in the standard library
        """The line, without a traceback."""
        record.message = visible(record.message)
        return super().formatMessage(record)
