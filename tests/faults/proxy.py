"""A way to a server on this machine that can be slow, lose answers, or break."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards connections to a port of this machine.

    `delay` holds back what the server says by so many seconds; while `deaf` is set it is thrown away: what was asked
    for has happened, and nobody hears of it. From `hold` to `release` nothing that clients say gets to the server.
    `held`, `answered` and `lost` count bytes.
    """

    def __init__(self, target: int) -> None:
        self._target, self._loop = target, asyncio.new_event_loop()
        self._writers = set[asyncio.StreamWriter]()
        self._free = asyncio.Event()
        self._free.set()
        self.delay, self.deaf = 0.0, False
        self.held, self.answered, self.lost = 0, 0, 0
        self.port = 0

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        self._loop.call_soon_threadsafe(self._cut)

    def hold(self) -> None:
        """Hold back what clients say from now on."""
        self._loop.call_soon_threadsafe(self._free.clear)

    def release(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._loop.call_soon_threadsafe(self._free.set)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._forward(reader, to_server), self._answer(from_server, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = asyncio.Queue[bytes]()
        self._writers.add(writer)
        passing = asyncio.create_task(self._pass(waiting, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.held += 0 if self._free.is_set() else len(data)
                waiting.put_nowait(data)
        waiting.put_nowait(b"")
        await passing
        self._writers.discard(writer)
        writer.close()

    async def _pass(self, waiting: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await waiting.get():
                await self._free.wait()
                writer.write(data)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one behind the other, each as late as `delay` was when it came."""
        waiting = asyncio.Queue[tuple[float, bytes]]()
        self._writers.add(writer)
        late = asyncio.create_task(self._late(waiting, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.deaf:
                    self.lost += len(data)
                else:
                    self.answered += len(data)
                    waiting.put_nowait((self._loop.time() + self.delay, data))
        waiting.put_nowait((self._loop.time() + self.delay, b""))
        await late
        self._writers.discard(writer)
        writer.close()

    async def _late(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            if not data:
                return
            await asyncio.sleep(max(due - self._loop.time(), 0))
            writer.write(data)

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        """Forward in a thread."""
        ready = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(serving)

        serving = self._loop.create_task(self._serve(ready))
        thread = threading.Thread(target=run, name="proxy")
        thread.start()
        assert ready.wait(60)
        try:
            yield self
        finally:
            self.release()
            self._loop.call_soon_threadsafe(self._cut)
            self._loop.call_soon_threadsafe(serving.cancel)
            thread.join()
            if left := asyncio.all_tasks(self._loop):
                for task in left:
                    task.cancel()
                self._loop.run_until_complete(asyncio.wait(left))
            self._loop.close()
