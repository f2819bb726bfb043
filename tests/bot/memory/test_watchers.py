"""Who waits for a job, on a real Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.memory.fetches import Fetches
from bot.memory.once import UPDATE_KEY, handling
from bot.memory.watchers import Holder, Released, Watcher, Watchers
from bot.settings import BotSettings
from tasks.resources import open_redis

MINA = Watcher(job_id="0123456789abcdef", chat_id=101, user_id=101, asked_in=7, joined={101: "-"}, user_name="-")
GROUP = Watcher(
    job_id="0123456789abcdef",
    chat_id=-100,
    thread_id=2,
    user_id=102,
    unsure=(1, 3),
    handed_over=True,
    joined={102: ""},
)


@pytest.fixture
async def watchers(settings: BotSettings) -> AsyncIterator[Watchers]:
    async with open_redis(settings.redis_url) as redis:
        yield Watchers(redis)


async def test_they_are_found_as_they_were_written(watchers: Watchers) -> None:
    assert await watchers.add(MINA)
    assert await watchers.add(GROUP)
    assert not await watchers.add(MINA.model_copy(update={"asked_in": 8}))
    assert await watchers.get(MINA.key) == MINA
    assert sorted(await watchers.at_job(MINA.job_id), key=str) == sorted([MINA, GROUP], key=str)
    assert await watchers.of_user(102) == [GROUP]
    changed = await watchers.update(GROUP, unsure=(), handed_over=False, thread_id=None)
    assert await watchers.get(GROUP.key) == changed
    assert (changed.unsure, changed.handed_over, changed.thread_id) == ((), False, None)


async def test_the_last_one_who_goes_releases_the_job(watchers: Watchers) -> None:
    await watchers.add(MINA)
    await watchers.add(GROUP)
    assert not await watchers.remove(MINA)
    assert await watchers.released() == set()
    assert await watchers.remove(GROUP)
    assert await watchers.released() == {GROUP.job_id}
    assert (await watchers.all_keys(), await watchers.of_user(102)) == (set(), [])
    await watchers.forget(GROUP.job_id)
    assert await watchers.released() == set()


async def test_one_update_cancels_one_however_often_it_is_handled(watchers: Watchers, redis: Redis) -> None:
    newest, other = MINA, MINA.model_copy(update={"job_id": "f" * 16})
    await watchers.add(other)
    await watchers.add(newest)
    await redis.set(f"{UPDATE_KEY}1", "1")
    handling.set("1")
    assert not await watchers.leave(GROUP, 102, "Junho", once=True)
    assert await watchers.leave(newest, 101, "Mina", once=True)
    assert await watchers.of_user(101) == [other]
    assert await watchers.leave(other, 101, "Mina", once=True)
    assert await watchers.of_user(101) == [other]


async def test_one_that_is_gone_stays_gone(watchers: Watchers) -> None:
    await watchers.add(MINA)
    await watchers.remove(MINA)
    await watchers.update(MINA, sent=1)
    assert await watchers.get(MINA.key) is None


async def test_a_held_job_is_not_released_while_it_is_fetched_or_once_it_is_held_anew(settings: BotSettings) -> None:
    job, api = MINA.job_id, Holder.API
    async with open_redis(settings.redis_url) as redis:
        watchers, fetches = Watchers(redis), Fetches(redis)
        assert await watchers.hold(job, api, 200.5)
        assert await watchers.release(job, api, held_until=200.0) == Released(was_held=False, is_last=False)
        await fetches.go_on(job, "one")
        fetching = fetches.key_of(job)
        assert await watchers.release(job, api, 201.0, fetching) == Released(was_held=False, is_last=False)
        assert await watchers.is_held(job)
        await fetches.end(job, "one")
        assert await watchers.release(job, api, 201.0, fetching) == Released(was_held=True, is_last=True)
        assert await watchers.is_released(job)
        assert not await watchers.hold(job, api, 300.0)  # somebody lets go of it right now
