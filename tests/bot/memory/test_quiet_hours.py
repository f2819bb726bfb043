"""When nothing is to come, on a real Redis."""

import asyncio

from redis.asyncio import Redis

from bot.memory.once import UPDATE_KEY, handling
from bot.memory.quiet_hours import Quiet, QuietHours

CHAT = 101


def later(quiet: Quiet) -> Quiet:
    return quiet.model_copy(update={"begins": quiet.begins + 1})


async def test_two_changes_at_once_are_both_counted(redis: Redis) -> None:
    hours = QuietHours(redis)
    await asyncio.gather(*(hours.change(CHAT, Quiet(begins=60), later) for _ in range(5)))
    assert await hours.of(CHAT) == Quiet(begins=65)


async def test_a_change_is_made_once_for_an_update(redis: Redis) -> None:
    hours = QuietHours(redis)
    for number in ("1", "2"):
        await redis.set(f"{UPDATE_KEY}{number}", "1")
        handling.set(number)
        for _ in range(2):
            assert await hours.change(CHAT, Quiet(begins=60), later) == Quiet(begins=60 + int(number))
