"""Which chats have one message for all their downloads.

Keys
    manhwa:bot:board:<chat>:<topic>    hash: the fields of `Board`; `<topic>` is empty where there is none
"""

from typing import cast

from redis.asyncio import Redis

from tasks.models import Value

KEEP_SECONDS = 24 * 3600
"""From the last time it was shown: nothing runs for so long."""


class Board(Value):
    """The message, and a digest of what it says."""

    language: str = "en"
    message_id: int | None = None
    shown: str = ""


class BoardMemory:
    """Keeps boards over restarts of the bot. A place is a chat, and the topic in it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def has(self, place: tuple[int, int | None]) -> bool:
        return bool(await self._redis.exists(_key(place)))

    async def get(self, place: tuple[int, int | None]) -> Board | None:
        fields = cast("dict[str, str]", await self._redis.hgetall(_key(place)))
        return Board.model_validate(fields) if fields else None

    async def begin(self, place: tuple[int, int | None], language: str) -> None:
        """There is a board from now on; one that is there already stays as it is."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hsetnx(_key(place), "language", language)
            pipeline.expire(_key(place), KEEP_SECONDS)
            await pipeline.execute()

    async def lose_message(self, place: tuple[int, int | None]) -> None:
        """Its message was deleted: another one takes its place."""
        await self._redis.hdel(_key(place), "message_id", "shown")

    async def note(self, place: tuple[int, int | None], message_id: int, shown: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(_key(place), mapping={"message_id": message_id, "shown": shown})
            pipeline.expire(_key(place), KEEP_SECONDS)
            await pipeline.execute()

    async def forget(self, place: tuple[int, int | None]) -> None:
        await self._redis.delete(_key(place))


def _key(place: tuple[int, int | None]) -> str:
    return f"manhwa:bot:board:{place[0]}:{place[1] or ''}"
