"""A file on its way to Telegram that knows when it may have arrived."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from aiogram import Bot
from aiogram.types import InputFile


class OutgoingFile(InputFile):
    """Calls `before_last` before its last bytes go out: until then Telegram can't have the file, whatever happens.

    `chunks` begins to read its `size` bytes anew.
    """

    def __init__(
        self,
        name: str,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        before_last: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(name)
        self._chunks = chunks
        self._size = size
        self._before_last = before_last
        self.handed_over = False

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:  # noqa: ARG002 - aiogram's signature
        self.handed_over = False
        gone_out = 0
        async for chunk in self._chunks():
            gone_out += len(chunk)
            if gone_out >= self._size:
                await self._before_last()
                self.handed_over = True
            yield chunk
