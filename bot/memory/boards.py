"""Which chats have one message for all their downloads.

Keys
    manhwa:bot:boards                  set of `<chat>:<topic>`: every board there is; `<topic>` is empty where there is none
    manhwa:bot:board:<chat>:<topic>    hash: the fields of `Board`
"""

from typing import cast

from redis.asyncio import Redis

from bot.memory.reading import fields_remembered
from tasks.models import Value

KEY = "manhwa:bot:board"
Place = tuple[int, int | None]
"""A chat, and the topic in it."""

KEEP_SECONDS = 24 * 3600
"""From the last time it was shown: nothing runs for so long."""


class Board(Value):
    """The message, and a digest of what it says."""

    language: str = "en"
    message_id: int | None = None
    shown: str = ""


class BoardMemory:
    """Keeps boards over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def has(self, place: Place) -> bool:
        return bool(await self._redis.exists(_key(place)))

    async def get(self, place: Place) -> Board | None:
        fields = cast("dict[str, str]", await self._redis.hgetall(_key(place)))
        return fields_remembered(Board, fields) if fields else None

    async def begin(self, place: Place, language: str) -> None:
        """There is a board from now on; one that is there already stays as it is."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.sadd(f"{KEY}s", _name(place))
            pipeline.hsetnx(_key(place), "language", language)
            pipeline.expire(_key(place), KEEP_SECONDS)
            await pipeline.execute()

    async def lose_message(self, place: Place) -> None:
        """Its message was deleted: another one takes its place."""
        await self._redis.hdel(_key(place), "message_id", "shown")

    async def note(self, place: Place, message_id: int, shown: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(_key(place), mapping={"message_id": message_id, "shown": shown})
            pipeline.expire(_key(place), KEEP_SECONDS)
            await pipeline.execute()

    async def forget(self, place: Place) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.srem(f"{KEY}s", _name(place))
            pipeline.delete(_key(place))
            await pipeline.execute()

    async def all(self) -> list[Place]:
        """Where there are boards."""
        names = cast("set[str]", await self._redis.smembers(f"{KEY}s"))
        parted = (name.partition(":") for name in names)
        return [(int(chat), int(topic) if topic else None) for chat, _, topic in parted]


def _name(place: Place) -> str:
    return f"{place[0]}:{place[1] or ''}"


def _key(place: Place) -> str:
    return f"{KEY}:{_name(place)}"
