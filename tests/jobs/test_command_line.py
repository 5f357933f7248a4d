"""`python -m jobs`: a wrong command line is one plain line, and help stays what it is."""

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from tests.jobs.running import complaint, jobs


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nothing",), "No such command 'nothing'; see root --help"),
        (("evalute",), "No such command 'evalute'. Did you mean 'evaluate'?; see root --help"),
        (
            ("train", "log.csv", "--hours", "3"),
            "No such option: --hours (Possible options: --horizon, --rows); see root train --help",
        ),
        (("train",), "Missing argument 'EVENTS...'; see root train --help"),
        (("train", "log.csv"), "Missing option '--to'; see root train --help"),
        (("train", "log.csv", "--to"), "Option '--to' requires an argument"),
        (("train", "log.csv", "--to", "m.json", "--rows", "few"), "Invalid value for '--rows': "),
        (("models", "ad"), "No such command 'ad'. Did you mean 'add'?; see root models --help"),
        (("models", "add"), "Missing argument 'file'; see root models add --help"),
        (("dead-letters", "show", "a", "b"), "Got unexpected extra argument(s) (b); see root dead-letters show --help"),
    ],
)
def test_a_wrong_command_line_is_told_on_one_line(arguments: tuple[str, ...], line: str) -> None:
    assert complaint(*arguments).startswith(f"ad-streams: {line}")


def test_the_line_names_the_program() -> None:
    run = jobs("grade", "--all")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "ad-streams: No such option: --all; see python -m jobs grade --help\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["models"], ["models", "add", "--help"]])
def test_help_is_shown_where_it_is_asked_for_and_without_a_command(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == (0 if "--help" in arguments else 2)
    assert "Usage: root" in done.output
    assert "ad-streams: " not in done.output
