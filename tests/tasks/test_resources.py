"""What is opened for everybody: Redis."""

import asyncio

from redis.asyncio import Redis

from bot.settings import BotSettings
from tasks.resources import open_redis


async def ask_for_ever(redis: Redis) -> None:
    while True:
        await redis.get("manhwa:nothing")


async def test_work_with_redis_can_be_cancelled_at_any_moment(settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        for moment in range(200):
            asking = asyncio.create_task(ask_for_ever(redis))
            for _ in range(moment):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking}, timeout=5)
            assert asking.done(), f"the cancellation {moment} steps in was not heard"
        assert await redis.ping()
