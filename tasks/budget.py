"""Budgets of requests that all processes keep together through Redis, by the `limits` library."""

import asyncio
import time
from typing import Any

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import Redis

SHORTEST_WAIT = 0.05
MARGIN = 0.05
"""Seconds by which what waited goes later than it might: what came before may have been longer on its way."""


def shared_limiter(redis: Redis, prefix: str) -> MovingWindowRateLimiter:
    """A limiter whose keys are below `prefix`."""
    # The address only names the kind of storage: the connections are ours, as the documentation allows.
    ours: dict[str, Any] = {"connection_pool": redis.connection_pool}
    storage = RedisStorage("async+redis://ours:6379", implementation="redispy", key_prefix=prefix, **ours)
    return MovingWindowRateLimiter(storage)


async def take(limiter: MovingWindowRateLimiter, item: RateLimitItem, what: str) -> None:
    """Return when the budget of `what` allows one more; it counts as spent."""
    while not await limiter.hit(item, what):
        stats = await limiter.get_window_stats(item, what)
        await asyncio.sleep(max(SHORTEST_WAIT, stats.reset_time - time.time() + MARGIN))
