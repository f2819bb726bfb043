"""Keyboards' memory."""

import asyncio

from redis.asyncio import Redis

from bot.memory.menus import Menus
from bot.memory.once import UPDATE_KEY, handling
from bot.settings import BotSettings
from tasks.resources import open_redis


async def test_every_tap_counts_however_many_come_at_once(settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        menus = Menus(redis)
        for taps in (50, 51):
            await menus.pick("menu", [])
            await asyncio.gather(*(menus.press("menu", 3) for _ in range(taps)))
            assert await menus.picked("menu") == ({3} if taps % 2 else set())


async def handle(redis: Redis, number: int) -> None:
    """From now on this task handles the update of that number."""
    await redis.set(f"{UPDATE_KEY}{number}", "1", nx=True, ex=100)
    handling.set(str(number))


async def test_a_range_that_is_begun_anew_is_begun_once(redis: Redis) -> None:
    menus = Menus(redis)
    await handle(redis, 1)
    for _ in range(2):
        await menus.begin_range("menu")
    assert await menus.range_begun("menu") == "first"
    await handle(redis, 2)
    for _ in range(2):
        await menus.press("menu", 3)
    assert (await menus.range_begun("menu"), await menus.picked("menu")) == (3, set())
    await handle(redis, 3)
    for _ in range(2):
        await menus.press("menu", 1)
    assert (await menus.range_begun("menu"), await menus.picked("menu")) == ("no", {1, 2, 3})
    assert 0 < await redis.ttl(f"{UPDATE_KEY}3") <= 100
