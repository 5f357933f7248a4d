"""A schema registry that speaks Confluent's REST API."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.services.artifacts import artifacts, java
from tests.services.server import Server

_API = "/apis/ccompat/v7"


class Registry(Server):
    """Apicurio Registry with its tables in a file; `url` is what a client of Confluent's registry is given.

    Args:
        folder: see `Server`.
        port: see `Server`.
        settings: its properties, over those below.
        quick: see `Server`; nobody measures a registry.
    """

    name: ClassVar[str] = "the schema registry"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        settings: Mapping[str, object] | None = None,
        quick: bool = True,
    ) -> None:
        super().__init__(folder, port, quick)
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        """The root of Confluent's API, version 7."""
        return f"http://127.0.0.1:{self.port}{_API}"

    def _prepare(self) -> None:
        """Everything is on the command line."""

    def _command(self) -> list[str]:
        properties = {
            "file.encoding": "UTF-8",
            "java.io.tmpdir": self.folder,
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self.port,
            # A schema that a client was told of is there after a kill.
            "quarkus.datasource.jdbc.url": f"jdbc:h2:file:{self.folder / 'registry'};WRITE_DELAY=0",
            "quarkus.datasource.jdbc.min-size": 1,
            "quarkus.datasource.jdbc.initial-size": 1,
            "quarkus.banner.enabled": "false",
            "quarkus.log.level": "WARN",
            'quarkus.log.category."io.apicurio".level': "WARN",
            **self._settings,
        }
        (jar,) = artifacts("registry").glob("*-runner.jar")
        given = (f"-D{name}={value}" for name, value in properties.items())
        return [java(), *self._java_options, "-Xmx256m", *given, "-jar", str(jar)]

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", f"{_API}/subjects")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
