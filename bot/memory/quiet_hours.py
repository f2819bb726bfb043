"""When chats want to hear nothing of what they follow.

Keys
    manhwa:bot:quiet:<chat>    JSON of `Quiet`
"""

from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.reading import remembered
from tasks.models import Value

KEY = "manhwa:bot:quiet"
DAY = 24 * 60


class Quiet(Value):
    """From `begins` to `ends`, in minutes of the day on the chat's clock, which is `offset` minutes ahead of UTC."""

    begins: int
    ends: int
    offset: int = 0

    def ends_at(self, now: float) -> float | None:
        """When it is over, if it is quiet at that time; None = it is not."""
        there = (now / 60 + self.offset) % DAY
        if (there - self.begins) % DAY >= (self.ends - self.begins) % DAY:
            return None
        return now + (self.ends - there) % DAY * 60


QUIET = TypeAdapter(Quiet)


class QuietHours:
    """Keeps them over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, chat_id: int) -> Quiet | None:
        """The chat's quiet hours, if it has any."""
        return remembered(QUIET, cast("str | None", await self._redis.get(f"{KEY}:{chat_id}")))

    async def choose(self, chat_id: int, quiet: Quiet | None) -> None:
        """None = it may be told at any time."""
        if quiet is None:
            await self._redis.delete(f"{KEY}:{chat_id}")
        else:
            await self._redis.set(f"{KEY}:{chat_id}", quiet.model_dump_json())
