"""When nothing is to come by itself to a chat.

Keys
    manhwa:bot:quiet:<chat>   JSON of a `Quiet`
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, cast

from pydantic import Field, TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import WatchError

from bot.memory.once import made_before, note_made
from bot.memory.reading import remembered
from tasks.models import Value

KEY = "manhwa:bot:quiet"
DAY = 24 * 60
MOST_EAST, MOST_WEST = 14 * 60, -12 * 60

Minute = Annotated[int, Field(ge=0, lt=DAY)]


class Quiet(Value):
    """From when until when, in minutes of the day, by a clock that is `offset` minutes ahead of UTC."""

    begins: Minute = 23 * 60
    ends: Minute = 8 * 60
    offset: Annotated[int, Field(ge=MOST_WEST, le=MOST_EAST)] = 0
    on: bool = True

    def clock(self, now: float) -> int:
        """The minute of the day there."""
        then = datetime.fromtimestamp(now, UTC)
        return (then.hour * 60 + then.minute + self.offset) % DAY

    def ends_at(self, now: float) -> float | None:
        """When it is over, if it is quiet at that time."""
        since, length = (self.clock(now) - self.begins) % DAY, (self.ends - self.begins) % DAY
        if not self.on or since >= length:
            return None
        return now - now % 60 + (length - since) * 60


QUIET = TypeAdapter(Quiet)


class QuietHours:
    """Keeps what was chosen."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, chat_id: int) -> Quiet | None:
        """What was chosen in the chat, if anything was."""
        return remembered(QUIET, cast("str | None", await self._redis.get(f"{KEY}:{chat_id}")))

    async def change(self, chat_id: int, usual: Quiet, changed: Callable[[Quiet], Quiet]) -> Quiet:
        """Change what was chosen, or the usual where nothing was; what it is then.

        Two at once are both counted, and each is made once for an update.
        """
        key = f"{KEY}:{chat_id}"
        async with self._redis.pipeline(transaction=True) as pipeline:
            while True:
                await pipeline.watch(key)
                before = remembered(QUIET, cast("str | None", await pipeline.get(key))) or usual
                if await made_before(pipeline):
                    return before
                quiet = changed(before)
                pipeline.multi()  # type: ignore[no-untyped-call]
                pipeline.set(key, quiet.model_dump_json())
                note_made(pipeline)
                with suppress(WatchError):
                    await pipeline.execute()
                    return quiet

    async def choose(self, chat_id: int, quiet: Quiet | None) -> None:
        """None = nothing is chosen any more."""
        if quiet is None:
            await self._redis.delete(f"{KEY}:{chat_id}")
        else:
            await self._redis.set(f"{KEY}:{chat_id}", quiet.model_dump_json())
