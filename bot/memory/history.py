"""What was delivered to whom and where, newest first.

Keys
    manhwa:bot:history:<id>      zset of request keys by time: what a person got (in any chat), or what a group got
    manhwa:bot:request:<key>     JSON of the request; both are gone `KEEP_SECONDS` after the last delivery
"""

import time
from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.reading import remembered
from tasks.models import DownloadRequest

KEY = "manhwa:bot:history"
REQUEST = TypeAdapter(DownloadRequest)
KEEP_SECONDS = 90 * 24 * 3600
LONGEST = 100
"""Deliveries that are remembered of one person or group."""


class History:
    """Keeps deliveries."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, request: DownloadRequest, user_id: int, chat_id: int) -> None:
        """The person got this in that chat."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(f"manhwa:bot:request:{request.key}", request.model_dump_json(), ex=KEEP_SECONDS)
            for whose in {user_id, chat_id}:
                pipeline.zadd(f"{KEY}:{whose}", {request.key: time.time()})
                pipeline.zremrangebyrank(f"{KEY}:{whose}", 0, -LONGEST - 1)
                pipeline.expire(f"{KEY}:{whose}", KEEP_SECONDS)
            await pipeline.execute()

    async def remember(self, request: DownloadRequest) -> None:
        """Somebody may ask for it by its key, though nobody got it yet."""
        await self._redis.set(f"manhwa:bot:request:{request.key}", request.model_dump_json(), ex=KEEP_SECONDS)

    async def of(self, whose: int, most: int) -> list[DownloadRequest]:
        """The newest deliveries to a person or group."""
        keys = cast("list[str]", await self._redis.zrevrange(f"{KEY}:{whose}", 0, most - 1))
        found = [await self.request(key) for key in keys]
        return [request for request in found if request]

    async def request(self, key: str) -> DownloadRequest | None:
        """The request of that key, if it was delivered or offered lately."""
        text = cast("str | None", await self._redis.get(f"manhwa:bot:request:{key}"))
        return remembered(REQUEST, text)

    async def forget(self, user_id: int) -> None:
        """Remove what the person got; what groups got stays theirs, and says of nobody who asked for it."""
        await self._redis.delete(f"{KEY}:{user_id}")
