"""Settings: what is wrong is told in one line that names it, before anything starts."""

import json
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from model.scoring.propensity import Model
from schemas.errors import SettingsError
from schemas.logs.time_texts import DateOrder
from schemas.logs.times import TimeUnit
from settings import Consistency, Settings, Source, Store, load_settings, setting_names, stop

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in os.environ:
        if name.upper().startswith("ADSTREAMS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def load(monkeypatch):
    """Loads the settings of an environment in which only these are set; names without the prefix."""

    def load(**given):
        for name, value in given.items():
            monkeypatch.setenv(f"ADSTREAMS_{name}", str(value))
        return load_settings()

    return load


def test_everything_has_a_default(load):
    settings = load()
    assert (settings.source, settings.store) == (Source.SIMULATOR, Store.SQLITE)
    assert (settings.simulator_users, settings.simulator_events, settings.simulator_seed) == (7_000, 0, 7)
    assert (settings.simulator_rate, settings.simulator_start) == (200.0, date(2017, 6, 15))
    assert settings.simulator_start_time == 1_497_484_800_000
    assert settings.sqlite_path == Path("adstreams.db")
    assert (settings.buckets, settings.sequence_length) == (64, 1_000)
    assert (settings.max_skew, settings.look_back) == (timedelta(hours=1), timedelta(days=30))
    assert isinstance(settings.loaded_model, Model)
    assert settings.loaded_model.id == "default"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SIMULATOR_USERS", "1", 1),
        ("SIMULATOR_EVENTS", "20000", 20_000),
        ("SIMULATOR_RATE", "0", 0.0),
        ("SIMULATOR_RATE", "0.5", 0.5),
        ("SIMULATOR_SEED", "4294967295", 2**32 - 1),
        ("SIMULATOR_START", "2020-02-29", date(2020, 2, 29)),
        ("SQLITE_PATH", "/tmp/x y.db", Path("/tmp/x y.db")),
        ("BUCKETS", "1", 1),
        ("BUCKETS", "4096", 4_096),
        ("SEQUENCE_LENGTH", "10000", 10_000),
        ("MAX_SKEW", "90s", timedelta(seconds=90)),
        ("LOOK_BACK", "1min", timedelta(minutes=1)),
        ("MAX_SKEW", "0s", timedelta(0)),
        ("STORE", "sqlite", Store.SQLITE),
        ("SOURCE", "simulator", Source.SIMULATOR),
        ("KAFKA_BROKERS", "a:1, b:2", ("a:1", "b:2")),
        ("KAFKA_TOPICS", "clicks", ("clicks",)),
        (
            "KAFKA_CONFIG",
            '{"security.protocol": "SSL", "fetch.wait.max.ms": 50}',
            {"security.protocol": "SSL", "fetch.wait.max.ms": 50},
        ),
        ("CASSANDRA_HOSTS", "a,b", ("a", "b")),
        ("CASSANDRA_CONSISTENCY", "QUORUM", Consistency.QUORUM),
        ("STORE", "cassandra", Store.CASSANDRA),
        ("TIME_UNIT", "us", TimeUnit.US),
        ("DATE_ORDER", "dmy", DateOrder.DMY),
        ("TIME_ZONE", "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_a_setting_is_read(load, name, value, expected):
    assert getattr(load(**{name: value}), name.lower()) == expected


BAD = [
    ("SOURCE", "kafak"),
    ("SOURCE", ""),
    ("STORE", "oracle"),
    ("SIMULATOR_USERS", "0"),
    ("SIMULATOR_USERS", "many"),
    ("SIMULATOR_USERS", "1.5"),
    ("SIMULATOR_USERS", "50000001"),
    ("SIMULATOR_EVENTS", "-1"),
    ("SIMULATOR_RATE", "-1"),
    ("SIMULATOR_RATE", "nan"),
    ("SIMULATOR_RATE", "inf"),
    ("SIMULATOR_SEED", "-1"),
    ("SIMULATOR_SEED", "4294967296"),
    ("SIMULATOR_START", "yesterday"),
    ("SIMULATOR_START", "2017-02-30"),
    ("SIMULATOR_START", "1960-01-01"),
    ("SIMULATOR_START", "2100-01-02"),
    ("BUCKETS", "0"),
    ("BUCKETS", "4097"),
    ("BUCKETS", "a\nb"),
    ("BUCKETS", ""),
    ("SEQUENCE_LENGTH", "0"),
    ("SEQUENCE_LENGTH", "10001"),
    ("MAX_SKEW", "-1h"),
    ("LOOK_BACK", "59s"),
    ("LOOK_BACK", "a month"),
    ("MAX_SKEW", "1 hour"),
    ("MAX_SKEW", "3600"),
    ("MAX_SKEW", ""),
    ("CASSANDRA_CONSISTENCY", "SOME"),
    ("CASSANDRA_KEYSPACE", "a-b"),
    ("CASSANDRA_PORT", "0"),
    ("RETENTION_DAYS", "7301"),
    ("KAFKA_BROKERS", "localhost"),
    ("KAFKA_BROKERS", "localhost:none"),
    ("TIME_UNIT", "m"),
    ("DATE_ORDER", "us"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("TIME_ZONE", "../etc/passwd"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_one_line_that_names_the_setting_and_the_value(load, name, value):
    with pytest.raises(SettingsError) as error:
        load(**{name: value})
    assert str(error.value).startswith(f"ADSTREAMS_{name}: ")
    assert repr(value) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_value_is_told_once(load):
    with pytest.raises(SettingsError) as error:
        load(LOOK_BACK="forever")
    assert str(error.value) == "ADSTREAMS_LOOK_BACK: 'forever' is not a duration such as 90s, 15min, 6h or 30d"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"SOURCE": "kafka"}, "ADSTREAMS_KAFKA_BROKERS: needed when ADSTREAMS_SOURCE is kafka"),
        (
            {"KAFKA_TOPICS": "a,,b"},
            "ADSTREAMS_KAFKA_TOPICS: must be different names with commas between them, got 'a,,b'",
        ),
        (
            {"KAFKA_TOPICS": "propensity"},
            "ADSTREAMS_KAFKA_PROPENSITY_TOPIC: propensity is already in use as an input or output topic",
        ),
        (
            {"KAFKA_DEAD_LETTER_TOPIC": "events"},
            "ADSTREAMS_KAFKA_DEAD_LETTER_TOPIC: events is already in use as an input or output topic",
        ),
        (
            {"KAFKA_CONFIG": '{"enable.auto.commit": true}'},
            "ADSTREAMS_KAFKA_CONFIG: enable.auto.commit is set by Ad-Streams itself",
        ),
        (
            {"CASSANDRA_USERNAME": "u"},
            "ADSTREAMS_CASSANDRA_PASSWORD: a role needs both a user name and a password",
        ),
        ({"CASSANDRA_TLS_CA": "/none.pem"}, "ADSTREAMS_CASSANDRA_TLS_CA: /none.pem: no such file"),
        (
            {"RETENTION_DAYS": "9"},
            "ADSTREAMS_RETENTION_DAYS: only the cassandra store expires rows; set it to 0",
        ),
    ],
)
def test_settings_of_services_must_fit_together(load, given, message):
    with pytest.raises(SettingsError) as error:
        load(**given)
    assert str(error.value) == message


@pytest.mark.parametrize("value", ['{"sasl.password": ["hunter2"]}', "hunter2"])
def test_a_secret_is_not_shown(load, value):
    with pytest.raises(SettingsError) as error:
        load(KAFKA_CONFIG=value)
    assert str(error.value).startswith("ADSTREAMS_KAFKA_CONFIG: ")
    assert "hunter2" not in str(error.value)
    shown = load(KAFKA_CONFIG='{"sasl.password": "hunter2"}', CASSANDRA_USERNAME="u", CASSANDRA_PASSWORD="hunter2")
    assert "hunter2" not in repr(shown)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BUCKET", "BUCKETS"),
        ("SQLITE_PAHT", "SQLITE_PATH"),
        ("SIMULATOR_USER", "SIMULATOR_USERS"),
        ("MODLE", "MODEL"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(load, name, meant):
    with pytest.raises(SettingsError) as error:
        load(**{name: "1"})
    assert str(error.value) == f"ADSTREAMS_{name}: no such setting, did you mean ADSTREAMS_{meant}?"


def test_a_setting_like_no_other_is_refused(load):
    with pytest.raises(SettingsError, match=r"^ADSTREAMS_\?\?\?: no such setting"):
        load(**{"???": "1"})


def test_a_file_is_needed_to_read_a_file(load):
    with pytest.raises(SettingsError, match=r"^ADSTREAMS_FILE: needed when ADSTREAMS_SOURCE is file$"):
        load(SOURCE="file")


def test_a_file_that_is_not_there_is_named(load, tmp_path):
    for path, found in ((tmp_path / "log.csv", "no such file"), (tmp_path / "*.csv", "no file matches")):
        with pytest.raises(SettingsError) as error:
            load(SOURCE="file", FILE=path)
        assert str(error.value) == f"ADSTREAMS_FILE: {path}: {found}"


def test_a_file_that_is_there_is_taken(load, tmp_path):
    path = tmp_path / "log.csv"
    path.touch()
    assert load(SOURCE="file", FILE=path).file == path


def test_a_model_file_that_is_not_there_is_named(load, tmp_path):
    with pytest.raises(SettingsError) as error:
        load(MODEL=tmp_path / "none.json")
    assert str(error.value) == f"ADSTREAMS_MODEL: {tmp_path / 'none.json'}: No such file or directory"


@pytest.mark.parametrize(("text", "field"), [("{", "file"), ("{}", "id"), ('{"id": ""}', "id")])
def test_a_model_file_that_is_no_model_is_named_with_its_field(load, tmp_path, text, field):
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(MODEL=path)
    assert str(error.value).startswith(f"ADSTREAMS_MODEL: {path}: {field}: ")
    assert "\n" not in str(error.value)


def test_a_challenger_is_read_at_the_start(load, tmp_path):
    """It must be a model, and another one than the model itself."""
    assert load().loaded_challenger is None
    assert load(CHALLENGER_MODEL=ROOT / "model" / "decay.json").loaded_challenger.id == "decay"
    for file, problem in (
        (tmp_path / "none.json", "No such file or directory"),
        (ROOT / "pyproject.toml", "file: Invalid JSON"),
        (ROOT / "model" / "default.json", "has the id of the model itself, 'default'"),
    ):
        with pytest.raises(SettingsError) as error:
            load(CHALLENGER_MODEL=file)
        assert str(error.value).startswith(f"ADSTREAMS_CHALLENGER_MODEL: {file}: {problem}")


def test_a_model_file_is_read_when_settings_are(load, tmp_path):
    """A file that changes while the stream runs does not change the model."""
    path = tmp_path / "model.json"
    path.write_text((ROOT / "model" / "decay.json").read_text())
    settings = load(MODEL=path)
    path.write_text("{}")
    assert settings.loaded_model.id == "decay"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file or directory"),
        ("{", "file: "),
        ("{}", "value: "),
        ('{"value": 9, "actions": [{"name": "show", "type": "IM"}]}', "actions.0.IM.cost: "),
    ],
)
def test_a_file_that_holds_no_actions_is_named_with_its_field(load, tmp_path, text, problem):
    path = tmp_path / "actions.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(ACTIONS=path)
    assert str(error.value).startswith(f"ADSTREAMS_ACTIONS: {path}: {problem}")
    assert "\n" not in str(error.value)


def test_an_empty_setting_is_no_actions(load):
    assert len(load().loaded_actions.actions) == 9
    assert load(ACTIONS="").loaded_actions.actions == ()


@pytest.mark.parametrize("source", ["file", "kafka"])
def test_the_example_actions_are_for_simulated_events_unless_they_are_named(load, tmp_path, source):
    """Their costs are nobody's own."""
    (tmp_path / "log.csv").touch()
    settings = {"SOURCE": source} | (
        {"FILE": str(tmp_path / "log.csv")} if source == "file" else {"KAFKA_BROKERS": "a:9"}
    )
    assert load(**settings).loaded_actions.actions == ()
    assert load(**settings).example_actions is not None
    named = load(**settings, ACTIONS=str(ROOT / "model" / "actions.json"))
    assert len(named.loaded_actions.actions) == 9
    assert named.example_actions is None


def test_settings_are_frozen(load):
    with pytest.raises(ValidationError, match="frozen"):
        load().buckets = 3


def test_what_is_not_ours_is_not_looked_at(load, monkeypatch):
    monkeypatch.setenv("OTHER_SETTING", "1")
    monkeypatch.setenv("BUCKETS", "none")
    assert load().buckets == 64


def test_stopping_is_one_plain_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as end:
        stop(SettingsError("ADSTREAMS_BUCKETS: too few"))
    assert end.value.code == 2
    assert capsys.readouterr().err == "ad-streams: ADSTREAMS_BUCKETS: too few\n"


def default_of(name):
    """A setting's default as docs/settings.md writes it; nothing where there is none."""
    field = Settings.model_fields[name.removeprefix("ADSTREAMS_").lower()]
    if isinstance(field.default, Path) and field.default.is_absolute():
        return str(field.default.relative_to(ROOT))
    if isinstance(field.default, float):
        return f"{field.default:g}"
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    return "" if field.default is None else str(field.default)


@pytest.mark.parametrize("name", setting_names())
def test_the_settings_reference_has_every_setting_with_its_default(name):
    """On one line of a table: the name, then the default."""
    lines = [line for line in (ROOT / "docs" / "settings.md").read_text().splitlines() if f"`{name}`" in line]
    assert lines, f"docs/settings.md lacks {name}"
    plain = [re.sub(r"(?<=\d)[,_](?=\d{3})", "", line) for line in lines]
    assert any(default_of(name) in line for line in plain), f"docs/settings.md lacks the default of {name}"


def test_every_setting_has_a_description():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert json.dumps(field.description)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("CASSANDRA_PASSWORD", "se cret\n", "cassandra_password", "se cret"),
        ("CASSANDRA_PASSWORD", "two\nlines\n\n", "cassandra_password", "two\nlines\n"),
        ("CASSANDRA_PASSWORD", "crlf\r\n", "cassandra_password", "crlf"),
    ],
)
def test_a_secret_may_come_from_a_file(load, tmp_path, name, text, field, value):
    (tmp_path / "secret").write_bytes(text.encode())
    settings = load(CASSANDRA_USERNAME="role", **{f"{name}_FILE": tmp_path / "secret"})
    assert getattr(settings, field).get_secret_value() == value
    assert value not in repr(settings)


def test_the_settings_of_kafka_may_come_from_a_file(load, tmp_path):
    (tmp_path / "kafka.json").write_text('{"group.id": "mine"}\n')
    assert load(KAFKA_CONFIG_FILE=tmp_path / "kafka.json").kafka_config["group.id"] == "mine"


@pytest.mark.parametrize("name", ["CASSANDRA_PASSWORD", "KAFKA_CONFIG", "SCHEMA_REGISTRY_URL"])
def test_a_secrets_file_that_cannot_be_read_or_is_not_alone_is_refused(load, tmp_path, name):
    """In one line that names the setting, and not the secret."""
    with pytest.raises(SettingsError, match=f"^ADSTREAMS_{name}_FILE: .*: No such file or directory$"):
        load(**{f"{name}_FILE": tmp_path / "absent"})
    (tmp_path / "secret").write_text("hidden")
    with pytest.raises(SettingsError) as error:
        load(**{name: "hidden", f"{name}_FILE": tmp_path / "secret"})
    assert str(error.value) == f"ADSTREAMS_{name}: given beside ADSTREAMS_{name}_FILE; give one of them"


def test_only_secrets_come_from_files(load):
    with pytest.raises(SettingsError, match="ADSTREAMS_STORE_FILE: no such setting"):
        load(STORE_FILE="x")


def test_settings_load_no_compiled_code():
    """A command that only needs a setting starts at once."""
    loaded = "[name for name in ('numba', 'llvmlite') if name in sys.modules]"
    code = f"import settings, sys; settings.Settings(); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
