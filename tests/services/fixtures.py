"""Pytest's fixtures `kafka`, `cassandra` and `registry`: one server each for the whole run, started in the background.

Servers that the selected tests use start when collection ends, all at once, and tests that use them come last: the
others run meanwhile. Where several workers share the tests (pytest-xdist), each has servers of its own, which start
when it comes to the first test that uses one. A test names them as fixtures, or says `@pytest.mark.needs("cassandra")`
where it asks for the fixture only as it runs, and `@pytest.mark.needs("java")` where it starts a server of its own. A
test that stops, kills or pauses a shared one may leave it so: it is put right behind the test.

Where Java or Maven is missing these tests are skipped, and the end of the run says so in one line; with CI=true they
fail.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.services.artifacts import check_tools
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.services.problems import MissingTool
from tests.services.registry import Registry
from tests.services.server import Server

_KINDS: dict[str, type[Server]] = {"kafka": Kafka, "cassandra": Cassandra, "registry": Registry}
_JAVA = "java"
_PREFIX = "ad-streams-tests-"


class _Running:
    """The servers of one run of pytest."""

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._servers: dict[str, Server] = {}
        self._starts: dict[str, Future[None]] = {}
        self._threads: list[Thread] = []
        self.wanted, self._begun = frozenset[str](), frozenset[str]()
        self.missing: MissingTool | None = None

    def begin(self, needs: frozenset[str]) -> None:
        """Start servers in the background; those that were begun before are left alone."""
        if needs <= self._begun:
            return
        self._begun |= needs
        try:
            check_tools(frozenset(_KINDS) if _JAVA in needs else needs)
        except MissingTool as error:
            self.missing = error
            return
        _sweep()
        new = sorted(needs - self._starts.keys() - {_JAVA})
        for name in new:
            self._folders.append(Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{name}-")))
            self._servers[name] = _KINDS[name](self._folders[-1], quick=True)
            self._starts[name] = Future()
            self._threads.append(Thread(target=self._start, args=(name,), name=f"start {name}", daemon=True))
            self._threads[-1].start()

    def check(self) -> None:
        """Skip the test where servers cannot be run, or fail it in CI."""
        if self.missing is not None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"tests with real servers must run in CI, but {self.missing}", pytrace=False)
            pytest.skip(str(self.missing))

    def get(self, name: str) -> Server:
        """The server, when it answers."""
        if name not in self._starts:
            self.begin(frozenset({name}))
        self.check()
        self._starts[name].result()
        return self._servers[name]

    def mend(self) -> None:
        """Put right what a test stopped or paused."""
        for name, start in self._starts.items():
            server = self._servers[name]
            if not start.done() or start.exception() is not None:
                continue
            if server.paused:
                server.resume()
            elif not server.running:
                server.start()

    def end(self) -> None:
        """End all servers, those that are still starting too, and remove their data."""
        for server in self._servers.values():
            server.give_up()
        for thread in self._threads:
            thread.join(5)
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, name: str) -> None:
        server, start = self._servers[name], self._starts[name]
        try:
            server.start()
        except BaseException as error:
            start.set_exception(error)
        else:
            start.set_result(None)


def _sweep() -> None:
    """Remove the data of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            pass


_RUNNING = pytest.StashKey[_Running]()


def _needs(item: pytest.Item) -> frozenset[str]:
    names = set(getattr(item, "fixturenames", ()))
    for mark in item.iter_markers("needs"):
        names.update(mark.args)
    return frozenset(names & {*_KINDS, _JAVA})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(name, ...): a server that the test asks for as it runs, or java")
    config.stash[_RUNNING] = _Running()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_needs(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    running = session.config.stash[_RUNNING]
    running.wanted = frozenset[str]().union(*map(_needs, session.items))
    if not session.config.option.collectonly and not hasattr(session.config, "workerinput"):
        running.begin(running.wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _needs(item):
        running = item.config.stash[_RUNNING]
        running.begin(running.wanted)
        running.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    # Before the test's own fixtures end, which may need the servers for that.
    try:
        item.config.stash[_RUNNING].mend()
    finally:
        yield


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    missing = config.stash[_RUNNING].missing
    if config.getoption("numprocesses", None):  # the workers know, and cannot write here
        try:
            check_tools(frozenset(_KINDS))
        except MissingTool as error:
            missing = error
    if missing is not None:
        terminalreporter.write_line(f"TESTS WITH REAL SERVERS DID NOT RUN: {missing}", red=True, bold=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUNNING].end()


def _get(request: pytest.FixtureRequest, name: str) -> Server:
    return request.config.stash[_RUNNING].get(name)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """A Kafka that all tests of this run share; topics of a test begin with its `topic_prefix`."""
    server = _get(request, "kafka")
    assert isinstance(server, Kafka)
    return server


@pytest.fixture(scope="session")
def cassandra(request: pytest.FixtureRequest) -> Cassandra:
    """A Cassandra that all tests of this run share; a test's tables are in its own `keyspace`."""
    server = _get(request, "cassandra")
    assert isinstance(server, Cassandra)
    return server


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Registry:
    """A schema registry that all tests of this run share; subjects of a test begin with its `topic_prefix`."""
    server = _get(request, "registry")
    assert isinstance(server, Registry)
    return server


@pytest.fixture
def topic_prefix() -> str:
    """A text that the names of this test's topics begin with."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def keyspace(cassandra: Cassandra) -> Iterator[str]:
    """The name of a keyspace that is not there yet; it is dropped behind the test."""
    name = f"k{uuid.uuid4().hex[:12]}"
    yield name
    with cassandra.session() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}")
