"""Several processes of the bot and their chats, on a real Redis."""

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.memory.boards import Board, BoardMemory
from bot.memory.processes import Processes, TakenForDead, acting_as
from bot.memory.watchers import Watchers
from bot.settings import BotSettings
from tasks.resources import open_redis
from tests.bot.memory.test_watchers import MINA


@pytest.fixture
async def processes(settings: BotSettings) -> AsyncIterator[Processes]:
    """Two that live, `one` and `two`."""
    async with open_redis(settings.redis_url) as redis:
        processes = Processes(redis)
        await processes.enter("one")
        await processes.enter("two")
        yield processes


async def test_a_chat_is_one_process_s_until_it_is_released(processes: Processes) -> None:
    assert await processes.take("one", [1, -2]) == {1, -2}
    assert await processes.take("one", [1]) == {1}
    assert await processes.take("two", [1, -2, 3]) == {3}
    await processes.release("two", [1])
    assert await processes.take("two", [1]) == set()
    await processes.release("one", [1])
    assert await processes.take("two", [1]) == {1}


async def test_heartbeats_grow(processes: Processes) -> None:
    assert await processes.renew("one") == {"one": "1", "two": "0"}
    assert await processes.renew("one") == {"one": "2", "two": "0"}


async def test_what_a_process_leaves_is_free(processes: Processes) -> None:
    await processes.take("one", [1])
    await processes.leave("one")
    assert await processes.renew("one") == {}
    assert await processes.take("one", [1]) == set()
    assert await processes.take("two", [1]) == {1}


async def test_one_that_showed_a_sign_of_life_is_not_taken_off(processes: Processes) -> None:
    await processes.take("one", [1])
    await processes.renew("one")
    assert not await processes.take_off("one", "0")
    assert await processes.take("two", [1]) == set()
    assert await processes.take_off("one", "1")
    assert await processes.take("two", [1]) == {1}
    assert not await processes.take_off("one", "1")


async def test_who_lost_a_chat_notes_nothing_of_it(processes: Processes, settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        watchers = Watchers(redis)
        await watchers.add(MINA)
        await processes.take("one", [MINA.chat_id])
        acting_as.set("one")
        await watchers.update(MINA, sent=1)
        await processes.leave("one")
        await processes.take("two", [MINA.chat_id])
        with pytest.raises(TakenForDead):
            await watchers.update(MINA, handed_over=True)
        found = await watchers.get(MINA.key)
        assert found
        assert (found.sent, found.handed_over) == (1, False)


async def test_who_lost_a_chat_leaves_its_board_alone(processes: Processes, redis: Redis) -> None:
    memory, place = BoardMemory(redis), (-100, 2)
    await processes.take("one", [-100])
    acting_as.set("one")
    await memory.begin(place, "en")
    await memory.note(place, 7, "something")
    await processes.leave("one")
    await processes.take("two", [-100])
    changes: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(memory.begin, (-100, None), "en"),
        partial(memory.note, place, 8, "another"),
        partial(memory.lose_message, place),
        partial(memory.forget, place),
    ]
    for change in changes:
        with pytest.raises(TakenForDead):
            await change()
    assert await memory.all() == [place]
    assert await memory.get(place) == Board(message_id=7, shown="something")
    acting_as.set("two")
    await memory.lose_message(place)
    assert await memory.get(place) == Board()
    await memory.forget(place)
    assert (await memory.all(), await memory.has(place)) == ([], False)
