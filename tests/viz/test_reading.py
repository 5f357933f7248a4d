"""Questions to a store that many ask at once, and that nobody waits for any more."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from schemas.errors import StoreError
from stores.answers import CreditSum
from stores.base import Reader
from stores.sqlite.reader import SqliteReader
from tests.viz.streams import START, Stream, journey
from viz import store_reading as reading
from viz.api import ROUTES
from viz.shared import Shared
from viz.store_reading import BusyError, Desk

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class Endless(SqliteReader):
    """A real file, of which the sums of all days are never there."""

    def credit_sums(self, start: int | None = None, end: int | None = None) -> list[CreditSum]:
        return list(self._ask(ENDLESS))


@pytest.fixture
def endless(stream: Stream, source: Shared) -> Iterator[Shared]:
    stream.send(*journey("ann", ["IM"]))
    source.feed.poll()
    shared = replace(source, desk=Desk(lambda: Endless(stream.path)))
    yield shared
    shared.desk.close()


@asynccontextmanager
async def listening(shared: Shared) -> AsyncIterator[int]:
    """The port of a real server of the API."""
    server = HTTPServer(Application([(pattern, handler, {"source": shared}) for pattern, handler in ROUTES]))
    socket, port = bind_unused_port()
    server.add_sockets([socket])
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def send(port: int, path: str, method: str = "GET") -> Connection:
    """Ask, without waiting for the answer."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    connection[1].write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await connection[1].drain()
    return connection


async def receive(connection: Connection) -> tuple[int, str, bytes]:
    """Status, headers and body of the answer."""
    head, _, body = (await connection[0].read()).partition(b"\r\n\r\n")
    connection[1].close()
    return int(head.split()[1]), head.decode(), body


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.01)


def test_health_does_not_wait_behind_questions(endless: Shared) -> None:
    """It is answered while questions that never end are under way; those beyond the queue are told to come again.

    Once nobody waits for them they are given up, and other questions are answered.
    """

    async def crowd() -> None:
        async with listening(endless) as port:
            most = reading.AT_ONCE + reading.WAITING
            asked = [await send(port, f"/api/credit?from={START + number}") for number in range(200)]
            refused = [asyncio.create_task(receive(each)) for each in asked]
            await until(lambda: endless.desk.under_way == most and sum(each.done() for each in refused) == 200 - most)
            for _ in range(3):
                status, _, body = await receive(await send(port, "/api/health"))
                assert (status, json.loads(body)["newest"]) == (200, START)
                assert (await receive(await send(port, "/api/health", "HEAD")))[::2] == (200, b"")
            assert endless.desk.under_way == most, "health came while they were under way"
            for task in refused:
                if task.done():
                    status, head, _ = task.result()
                    assert (status, "Retry-After: 1" in head) == (503, True)
                task.cancel()
            for _, writer in asked:
                writer.transport.abort()
            await until(lambda: endless.desk.under_way == 0)
            status, _, _ = await receive(await send(port, "/api/users/ann/propensity"))
            assert status == 200

    asyncio.run(asyncio.wait_for(crowd(), 300))


def test_equal_questions_are_asked_once(endless: Shared) -> None:
    """As long as one of those who asked it waits, it goes on."""

    async def crowd() -> None:
        async with listening(endless) as port:
            asked = [await send(port, f"/api/credit?from={START}") for _ in range(50)]
            await until(lambda: endless.desk.under_way == 1)
            for _, writer in asked[1:]:
                writer.transport.abort()
            await receive(await send(port, "/api/health"))
            assert endless.desk.under_way == 1
            asked[0][1].transport.abort()
            await until(lambda: endless.desk.under_way == 0)

    asyncio.run(asyncio.wait_for(crowd(), 300))


def test_an_answer_is_shared(stream: Stream) -> None:
    """Also an error is; the next equal question is asked anew."""
    desk, go, asked = Desk(lambda: SqliteReader(stream.path)), threading.Event(), list[int]()

    def question(reader: Reader) -> int:
        go.wait()
        asked.append(1)
        if len(asked) == 2:
            raise StoreError("the disk is gone")
        return len(asked)

    async def twice() -> list[int | BaseException]:
        go.clear()
        tasks = [asyncio.create_task(desk.ask(question, "key")) for _ in range(5)]
        await until(lambda: desk.under_way == 1)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        assert asyncio.run(twice()) == [1] * 5
        assert [str(each) for each in asyncio.run(twice())] == ["the disk is gone"] * 5
        assert asyncio.run(twice()) == [3] * 5
    finally:
        go.set()
        desk.close()


def test_questions_that_wait_are_bounded(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAITING", 1)
    desk, go = Desk(lambda: SqliteReader(stream.path)), threading.Event()

    async def crowd() -> None:
        tasks = [asyncio.create_task(desk.ask(lambda _: go.wait())) for _ in range(reading.AT_ONCE + 1)]
        await until(lambda: desk.under_way == reading.AT_ONCE + 1)
        with pytest.raises(BusyError):
            await desk.ask(lambda _: go.wait())
        assert await desk.ask(lambda reader: reader.most_recent(1), urgent=True) == []
        go.set()
        assert all(await asyncio.gather(*tasks))
        assert await desk.ask(lambda _: 7) == 7

    try:
        asyncio.run(crowd())
    finally:
        go.set()
        desk.close()
