"""Keyboards' memory."""

import asyncio

from bot.memory.menus import Menus
from bot.settings import BotSettings
from tasks.resources import open_redis


async def test_every_tap_counts_however_many_come_at_once(settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        menus = Menus(redis)
        for taps in (50, 51):
            await menus.pick("menu", [])
            ends = await asyncio.gather(*(menus.toggle("menu", 3) for _ in range(taps)))
            assert ends.count(True) - ends.count(False) == taps % 2
            assert await menus.picked("menu") == ({3} if taps % 2 else set())
