"""Updates outlive the bot that took them, on a real Redis."""

from aiogram.types import CallbackQuery, Chat, Message, Update, User

from bot.memory.updates import MOST_TRIES, Updates
from bot.settings import BotSettings
from tasks.resources import open_redis

MINA = User(id=101, is_bot=False, first_name="Mina")
SAID = Message(message_id=7, date=1_700_000_000, chat=Chat(id=101, type="private"), from_user=MINA, text="/help <b>")  # type: ignore[arg-type]


def update(number: int, **what: object) -> Update:
    return Update(update_id=number, **(what or {"message": SAID}))  # type: ignore[arg-type]


async def test_what_was_not_done_is_begun_anew_as_it_came(settings: BotSettings) -> None:
    pressed = CallbackQuery(id="1", from_user=MINA, chat_instance="1", message=SAID, data="cj:x")
    came = [update(9), update(10, callback_query=pressed), update(11)]
    async with open_redis(settings.redis_url) as redis:
        updates = Updates(redis)
        await updates.receive(came)
        await updates.done(9)
        assert [await updates.is_open(number) for number in (9, 10, 11, 12)] == [False, True, True, False]
        assert await Updates(redis).begin_anew(()) == came[1:]
        assert await Updates(redis).begin_anew({10}) == came[2:]


async def test_an_update_that_says_only_part_of_its_link_preview_is_written_down(settings: BotSettings) -> None:
    said = SAID.model_dump(mode="json", by_alias=True, exclude_unset=True)
    came = Update.model_validate(
        {"update_id": 9, "message": {**said, "link_preview_options": {"url": "https://example.org/cover.jpg"}}}
    )
    async with open_redis(settings.redis_url) as redis:
        await Updates(redis).receive([came])
        assert await Updates(redis).begin_anew(()) == [came]


async def test_what_comes_a_second_time_is_not_opened_again(settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        updates = Updates(redis)
        await updates.receive([update(9), update(9)])
        await updates.done(9)
        await updates.receive([update(9)])
        assert not await updates.is_open(9)
        await updates.receive([])


async def test_what_bots_die_over_is_left_alone_in_the_end(settings: BotSettings) -> None:
    async with open_redis(settings.redis_url) as redis:
        updates = Updates(redis)
        await updates.receive([update(9)])
        for _ in range(MOST_TRIES):
            assert await updates.begin_anew(()) == [update(9)]
        assert await updates.begin_anew(()) == []
        assert not await updates.is_open(9)
