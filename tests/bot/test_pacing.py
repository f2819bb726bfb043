"""How often progress is looked for and told, with a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot import pacing as pacing_module
from bot.pacing import PROGRESS_IN_ALL, SPACING_MS, Pacing
from bot.settings import BotSettings
from tasks.resources import open_redis


@pytest.fixture
async def pacing(settings: BotSettings) -> AsyncIterator[Pacing]:
    async with open_redis(settings.redis_url) as redis:
        yield Pacing(redis)


@pytest.mark.parametrize(("chat", "seconds"), [(1, 3.0), (-1, 60 / 9)])
async def test_nobody_looks_before_the_chat_may_be_told(pacing: Pacing, chat: int, seconds: float) -> None:
    assert pacing.claim_progress(chat) == 0
    assert 0 < pacing.claim_progress(chat) <= pacing_module.REFUSED_SECONDS  # somebody looks just now
    assert await pacing.try_progress(chat)
    assert seconds - 1 < pacing.claim_progress(chat) <= seconds
    assert pacing.claim_progress(chat + 10) == 0


async def test_a_refusal_is_looked_into_again_soon(pacing: Pacing) -> None:
    assert await pacing.try_progress(1)
    assert not await pacing.try_progress(1)
    assert 0 < pacing.claim_progress(1) <= SPACING_MS / 1000


async def test_what_just_arrived_is_left_alone_for_a_moment(pacing: Pacing) -> None:
    await pacing.arrived(1)
    assert not await pacing.try_progress(1)
    assert await pacing.try_progress(2)


async def test_progress_leaves_something_of_everybodys_budget(pacing: Pacing) -> None:
    told = [await pacing.try_progress(chat) for chat in range(1, 40)]
    # The window moves on while this is tried.
    assert PROGRESS_IN_ALL.amount <= sum(told) < len(told)
    async with asyncio.timeout(5):
        await pacing.slot(1000)


async def test_two_processes_share_what_a_chat_may_be_told(pacing: Pacing, settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        other = Pacing(redis)
        assert await pacing.try_progress(7)
        assert other.claim_progress(7) == 0
        assert not await other.try_progress(7)


async def test_what_is_remembered_of_chats_has_an_end(pacing: Pacing) -> None:
    for chat in range(3 * pacing_module.MOST_REMEMBERED):
        pacing.claim_progress(chat)
    assert pacing.claim_progress(0) == 0
    assert pacing.claim_progress(3 * pacing_module.MOST_REMEMBERED - 1) > 0
