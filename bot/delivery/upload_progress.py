"""How far an upload is, told now and then while it runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from bot.delivery.outgoing import OutgoingFile

TOLD_EVERY = 3.0
"""Seconds. What is up sooner is not worth a word."""


@asynccontextmanager
async def telling(outgoing: OutgoingFile, tell: Callable[[int], Awaitable[None]]) -> AsyncIterator[None]:
    """While the block lasts, `tell` how many percent of the file are up.

    What is being told as it ends is told to its end, so that nothing older comes after what is told next.
    """
    over = asyncio.Event()
    task = asyncio.create_task(_tell(outgoing, tell, over))
    try:
        yield
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        over.set()
        await asyncio.wait({task})


async def _tell(outgoing: OutgoingFile, tell: Callable[[int], Awaitable[None]], over: asyncio.Event) -> None:
    while True:
        # Not wait_for: in Python 3.11 it may swallow the cancellation of its task.
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_EVERY):
                await over.wait()
        if over.is_set():
            return
        await tell(outgoing.sent * 100 // outgoing.size)
