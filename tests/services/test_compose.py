"""The file for Docker agrees with the program. That it runs takes an engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from settings import load_settings
from tests.flow.running import ROOT
from tests.services.topics import TOPICS

_FILE = ROOT / "deploy" / "compose.yaml"


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text())["services"]
    return found


def test_nothing_is_open_to_other_machines(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_topics_are_those_of_the_program(services: dict[str, dict[str, Any]]) -> None:
    made = re.findall(r"^make (\S+) (\d+) (\S+)$", services["topics"]["command"][-1], re.MULTILINE)
    assert made == [(topic.name, str(topic.partitions), "compact" if topic.compacted else "delete") for topic in TOPICS]


@pytest.mark.parametrize("name", ["dataflow", "app", "grader", "simulator"])
def test_its_settings_are_settings(
    services: dict[str, dict[str, Any]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are known, and fit together."""
    for key, value in services[name]["environment"].items():
        monkeypatch.setenv(key, value)
    settings = load_settings()
    assert (settings.source, settings.store) == ("kafka", "cassandra")


def test_the_image_has_every_part_of_the_program() -> None:
    """What is not named does not get into it."""
    named = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "tests"}
    modules = {path.name for path in ROOT.glob("*.py")}
    assert named == packages | modules | {"requirements.lock"}
