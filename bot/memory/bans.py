"""Who may not use the bot.

Keys
    manhwa:bot:banned    set of user ids
"""

from redis.asyncio import Redis

KEY = "manhwa:bot:banned"


class Bans:
    """Keeps bans over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def ban(self, user_id: int) -> None:
        await self._redis.sadd(KEY, user_id)

    async def lift(self, user_id: int) -> bool:
        """False if there was no ban."""
        return bool(await self._redis.srem(KEY, user_id))

    async def has(self, user_id: int) -> bool:
        return bool(await self._redis.sismember(KEY, str(user_id)))
