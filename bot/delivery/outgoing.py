"""A file on its way to Telegram that knows when it may have arrived, and how much of it is up."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from aiogram import Bot
from aiogram.types import InputFile

Chunks = Callable[[], AsyncIterator[bytes]]
"""Reads a file from its beginning, each time it is called."""
Note = Callable[[], Awaitable[None]]
before_it_goes: ContextVar[Note | None] = ContextVar("before_it_goes", default=None)


@contextmanager
def noting(note: Note) -> Iterator[None]:
    """Call it just before each message that this task sends in the block goes out: not while that still waits for its turn."""
    token = before_it_goes.set(note)
    try:
        yield
    finally:
        before_it_goes.reset(token)


class OutgoingFile(InputFile):
    """Calls `before_last` before its last bytes go out: until then Telegram can't have the file, whatever happens.

    `sent` of its `size` bytes are with the system, on their way or there.
    """

    def __init__(self, name: str, size: int, chunks: Chunks, before_last: Note) -> None:
        # Bot API servers end a name in a form at its first semicolon.
        super().__init__(name.replace(";", "\uff1b"))
        self.size = size
        self.sent = 0
        self.handed_over = False
        self._chunks = chunks
        self._before_last = before_last

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:  # noqa: ARG002 - aiogram's signature
        self.handed_over, self.sent = False, 0
        async for chunk in self._chunks():
            if self.sent + len(chunk) >= self.size:
                await self._before_last()
                self.handed_over = True
            yield chunk
            # Whoever asks for the next chunk has written this one to the socket.
            self.sent += len(chunk)
        if self.sent != self.size:
            raise EOFError(f"{self.sent} of {self.size} bytes could be read")


class OutgoingPath(OutgoingFile):
    """A file that the Bot API server reads by itself: all that goes out is its address."""

    def __init__(self, path: Path, before_last: Note) -> None:
        address = path.as_uri().encode()

        async def chunks() -> AsyncIterator[bytes]:
            yield address

        super().__init__(path.name, len(address), chunks, before_last)
