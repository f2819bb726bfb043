"""Which edit of a message is the latest of all processes, and what the message shows.

Keys
    manhwa:bot:edits:<chat>:<message>    hash: `turn`, a number that grows with each edit that is begun, and `shown`, a digest;
                                         with `:<person>` behind it where only that person sees the message. For a day
"""

from typing import cast

from redis.asyncio import Redis

KEY = "manhwa:bot:edits"
KEEP_SECONDS = 24 * 3600


class Edits:
    """Where processes that edit the same message meet."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self, spot: tuple[int | None, ...]) -> int:
        """The turn of an edit that is to come; it is the latest until another one begins."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(_key(spot), "turn", 1)
            pipeline.expire(_key(spot), KEEP_SECONDS)
            turn, _ = await pipeline.execute()
        return int(turn)

    async def latest(self, spot: tuple[int | None, ...]) -> tuple[int, str]:
        """The latest edit's turn, and what the message shows as far as is known."""
        turn, shown = cast("list[str | None]", await self._redis.hmget(_key(spot), "turn", "shown"))
        return int(turn or 0), shown or ""

    async def note(self, spot: tuple[int | None, ...], shown: str) -> None:
        """It shows that now."""
        await self._redis.hset(_key(spot), "shown", shown)


def _key(spot: tuple[int | None, ...]) -> str:
    return ":".join([KEY, *(str(part) for part in spot if part is not None)])
