"""Updates outlive the bot that took them, on a real Redis."""

import logging
from collections.abc import AsyncIterator

import pytest
from aiogram.types import CallbackQuery, Chat, Message, Update, User
from redis import Redis

from bot.memory import updates as module
from bot.memory.processes import PROCESSES, Processes, TakenForDead
from bot.memory.updates import INBOX, MOST_TELLS, MOST_TRIES, Updates
from bot.settings import BotSettings
from tasks.resources import open_redis

MINA = User(id=101, is_bot=False, first_name="Mina")
SAID = Message(message_id=7, date=1_700_000_000, chat=Chat(id=101, type="private"), from_user=MINA, text="/help <b>")  # type: ignore[arg-type]


def update(number: int, **what: object) -> Update:
    return Update(update_id=number, **(what or {"message": SAID}))  # type: ignore[arg-type]


@pytest.fixture
async def processes(settings: BotSettings) -> AsyncIterator[Processes]:
    """Two that live, `one` and `two`."""
    async with open_redis(settings.redis_url) as redis:
        processes = Processes(redis)
        await processes.enter("one")
        await processes.enter("two")
        yield processes


@pytest.fixture
async def updates(settings: BotSettings, processes: Processes) -> AsyncIterator[Updates]:
    async with open_redis(settings.redis_url) as redis:
        yield Updates(redis)


async def test_what_was_left_is_begun_anew_as_it_came(updates: Updates) -> None:
    pressed = CallbackQuery(id="1", from_user=MINA, chat_instance="1", message=SAID, data="cj:x")
    came = [update(9), update(10, callback_query=pressed), update(11)]
    assert await updates.receive("one", came) == {9, 10, 11}
    await updates.done("one", 9)
    assert [await updates.tries("one", number) for number in (9, 10, 11, 12)] == [None, 0, 0, None]
    assert await updates.begin_anew("one", ()) == came[1:]
    assert await updates.begin_anew("one", {10}) == came[2:]


async def test_an_update_that_says_only_part_of_its_link_preview_is_written_down(updates: Updates) -> None:
    said = SAID.model_dump(mode="json", by_alias=True, exclude_unset=True)
    came = Update.model_validate(
        {"update_id": 9, "message": {**said, "link_preview_options": {"url": "https://example.org/cover.jpg"}}}
    )
    await updates.receive("one", [came])
    assert await updates.begin_anew("one", ()) == [came]


async def test_what_comes_a_second_time_is_not_opened_again(updates: Updates) -> None:
    assert await updates.receive("one", [update(9), update(9)]) == {9}
    await updates.done("one", 9)
    assert await updates.receive("one", [update(9)]) == set()
    assert await updates.tries("one", 9) is None
    assert await updates.receive("one", []) == set()


async def test_what_a_process_has_in_hand_no_other_touches_until_it_dies(
    updates: Updates, processes: Processes
) -> None:
    await updates.receive("one", [update(9)])
    assert await updates.receive("two", [update(9)]) == set()
    assert await updates.tries("two", 9) is None
    assert await updates.begin_anew("two", ()) == []
    await processes.leave("one")
    assert await updates.begin_anew("two", ()) == [update(9)]
    assert (await updates.tries("one", 9), await updates.tries("two", 9)) == (None, 1)


async def test_who_was_taken_for_dead_takes_nothing_in(updates: Updates, processes: Processes) -> None:
    await processes.leave("one")
    with pytest.raises(TakenForDead):
        await updates.receive("one", [update(9)])
    assert await updates.receive("two", [update(9)]) == {9}


async def test_who_was_taken_for_dead_begins_nothing_anew(updates: Updates, processes: Processes) -> None:
    await updates.receive("one", [update(9)])
    await processes.leave("one")
    assert await updates.begin_anew("one", ()) == []
    assert await updates.begin_anew("two", ()) == [update(9)]


async def test_what_bots_die_over_is_dropped_in_the_end(updates: Updates, caplog: pytest.LogCaptureFixture) -> None:
    await updates.receive("one", [update(9)])
    for number in range(MOST_TRIES + MOST_TELLS):
        assert await updates.begin_anew("one", ()) == [update(9)]
        assert await updates.tries("one", 9) == number + 1
    assert await updates.begin_anew("one", ()) == []
    assert caplog.messages == ["update 9 is dropped: it was begun too often"]
    assert await updates.tries("one", 9) is None


async def test_who_is_taken_for_dead_over_what_can_not_be_read_goes_on_with_the_rest(
    updates: Updates, settings: BotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Redis(unix_socket_path=str(settings.redis_socket)) as redis:
        await updates.receive("one", [update(9), update(10)])
        redis.hset(INBOX, "9", "{")

        def bury(_: logging.LogRecord) -> bool:
            return bool(redis.hdel(PROCESSES, "one"))

        monkeypatch.setattr(module.log, "filters", [bury])
        assert await updates.begin_anew("one", ()) == [update(10)]
        assert redis.hexists(INBOX, "9")
    assert await updates.tries("two", 10) is None
    assert await updates.begin_anew("two", ()) == [update(10)]


async def test_who_was_taken_for_dead_ends_nothing(updates: Updates, processes: Processes) -> None:
    await updates.receive("one", [update(9)])
    await processes.leave("one")
    with pytest.raises(TakenForDead):
        await updates.done("one", 9)
    assert await updates.begin_anew("two", ()) == [update(9)]
    with pytest.raises(TakenForDead):
        await updates.done("one", 9)
    await updates.done("two", 9)
    assert await updates.tries("two", 9) is None
