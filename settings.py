"""Settings: environment variables `ADSTREAMS_*`, checked before anything starts."""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, NoReturn

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.durations import Duration
from model.propensity import Model, ModelFileError

_PREFIX = "ADSTREAMS_"


class SettingsError(ValueError):
    """A setting that is wrong; the message is one line that names it."""


class Source(StrEnum):
    """Where events come from."""

    SIMULATOR = "simulator"
    FILE = "file"


class Store(StrEnum):
    """Where scored rows go."""

    SQLITE = "sqlite"


class Settings(BaseSettings):
    """All settings, frozen. Each field is the environment variable `ADSTREAMS_` + its name."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, allow_inf_nan=False)

    source: Source = Field(Source.SIMULATOR, description="Where events come from: `simulator` or `file`.")
    file: Path | None = Field(
        None, description="Log to read: CSV, CSV.gz, Parquet or Avro container in the event's columns."
    )
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
    store: Store = Field(Store.SQLITE, description="Where scored rows are kept: `sqlite`.")
    sqlite_path: Path = Field(Path("adstreams.db"), description="File of the embedded store.")
    model: Path = Field(Path(__file__).parent / "model" / "seed.json", description="Model file.")
    buckets: Annotated[int, Field(ge=1, le=4_096)] = Field(
        64, description="Buckets of users; fixed for the life of a recovery directory."
    )
    sequence_length: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1_000, description="Newest events of a user that count; fixed for the life of a recovery directory."
    )
    max_skew: Duration = Field(
        "1h",
        validate_default=True,
        description="How much later than its message an event may claim to have happened.",
    )

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
        try:
            return Model.from_json(self.model.read_bytes())
        except OSError as error:
            raise SettingsError(f"ADSTREAMS_MODEL: {self.model}: {error.strerror}") from None
        except ModelFileError as error:
            raise SettingsError(f"ADSTREAMS_MODEL: {self.model}: {error}") from None


def setting_names() -> list[str]:
    """The names of all settings, as environment variables."""
    return [_PREFIX + field.upper() for field in Settings.model_fields]


def load_settings() -> Settings:
    """The settings of this environment, with the model file read and the log file there.

    Raises:
        SettingsError: the first setting that is wrong.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = _PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}") from None
    unknown = [name for name in os.environ if name.startswith(_PREFIX) and name not in setting_names()]
    if unknown:
        near = get_close_matches(unknown[0], setting_names(), 1)
        raise SettingsError(f"{unknown[0]}: no such setting{f', did you mean {near[0]}?' if near else ''}")
    settings.loaded_model  # noqa: B018 read now, so that a wrong file stops the start
    if settings.source is Source.FILE:
        if settings.file is None:
            raise SettingsError("ADSTREAMS_FILE: needed when ADSTREAMS_SOURCE is file")
        if not settings.file.is_file():
            found = "not a file" if settings.file.exists() else "no such file"
            raise SettingsError(f"ADSTREAMS_FILE: {settings.file}: {found}")
    elif settings.file is not None:
        raise SettingsError(f"ADSTREAMS_FILE: not read while ADSTREAMS_SOURCE is {settings.source}; set it to file")
    return settings


def stop(problem: object) -> NoReturn:
    """End the program with one plain line and exit code 2."""
    print(f"ad-streams: {problem}", file=sys.stderr)
    sys.exit(2)
