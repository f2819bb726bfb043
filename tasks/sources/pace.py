"""How often a source may be asked: one budget for each host, shared by all workers and the bot through Redis.

Keys: those of the `limits` library below manhwa:sources:pace; manhwa:sources:shut:<what> while a host wants silence.
"""

import asyncio

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import Redis

from tasks.budget import shared_limiter, take

LONGEST_WAIT = 60.0
"""Seconds of silence that are waited; who is asked for more is told."""
LONGEST_SILENCE = 24 * 3600.0


class HostShut(Exception):
    """The host wants silence for so many `seconds`, longer than anybody waits here."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s of silence")
        self.seconds = seconds


class Pace:
    """Asked before every request to a source; `limit` are requests a second to one host.

    Without Redis it keeps the limit for this process alone, and knows of no silence.
    """

    def __init__(self, limit: int, redis: Redis | None = None) -> None:
        self._redis = redis
        self._limit = RateLimitItemPerSecond(limit, namespace="host")
        self._limiter = (
            shared_limiter(redis, "manhwa:sources:pace") if redis else MovingWindowRateLimiter(MemoryStorage())
        )

    async def slot(self, where: str, limit: RateLimitItem | None = None) -> None:
        """Return when a request may go there, to a host or a part of one with a `limit` of its own; it counts as sent.

        Raises `HostShut`.
        """
        while (wait := await self._shut_for(where)) > 0:
            if wait > LONGEST_WAIT:
                raise HostShut(wait)
            await asyncio.sleep(wait)
        await take(self._limiter, limit or self._limit, where)

    async def shut(self, where: str, seconds: float) -> None:
        """It asked for silence for so long."""
        if self._redis and seconds > 0:
            until = min(seconds, LONGEST_SILENCE)
            await self._redis.set(f"manhwa:sources:shut:{where}", "1", px=max(1, int(until * 1000)))

    async def _shut_for(self, where: str) -> float:
        left = int(await self._redis.pttl(f"manhwa:sources:shut:{where}")) if self._redis else 0
        return left / 1000 if left > 0 else 0.0
