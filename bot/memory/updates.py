"""Which updates of Telegram were taken.

Keys
    manhwa:bot:update:<id>   there for a day: this update was taken
"""

from redis.asyncio import Redis

ONE_DAY = 24 * 3600
"""Telegram gives up delivering an update after that."""


class Updates:
    """Tells updates that come a second time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def is_new(self, update_id: int) -> bool:
        """Whether it comes for the first time; from then on it does not."""
        return bool(await self._redis.set(f"manhwa:bot:update:{update_id}", "1", nx=True, ex=ONE_DAY))
