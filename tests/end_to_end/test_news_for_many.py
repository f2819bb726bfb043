"""New chapters that many chats wait for: one download, one upload, and each chat gets its own."""

from collections.abc import AsyncIterator

import pytest
from aiogram.types import Chat

from bot.local.telegram import StandIn
from bot.local.telegram.faults import Fault
from bot.memory.history import History
from bot.memory.watchers import Watchers
from bot.settings import BotSettings
from tasks.jobs.store import JobStore
from tasks.models import Chapter, Manga
from tasks.resources import open_redis
from tests.end_to_end.feed import Feed
from tests.end_to_end.shelf import Shelf
from tests.end_to_end.test_bad_days import folders
from tests.person import MINA, Person, buttons, soon

HARBOUR = Manga(source="mangapill", id="7/harbour-lights", title="Harbour Lights")
ONE = Chapter(id=Shelf.chapter(1), number="1")

pytestmark = pytest.mark.usefixtures("consumet_worker")


@pytest.fixture
async def feed(consumet_settings: BotSettings) -> AsyncIterator[Feed]:
    async with open_redis(consumet_settings.redis_url) as redis:
        yield Feed(redis, HARBOUR)


def crowd(telegram: StandIn, number: int) -> list[int]:
    """Chats of people whom nobody knows."""
    chats = tuple(Chat(id=5000 + n, type="private", first_name=f"Reader {n}") for n in range(number))
    telegram.world.further_chats = chats
    return [chat.id for chat in chats]


def documents_of(telegram: StandIn) -> list[int]:
    """The chats of all files."""
    return sorted(message.chat.id for message in telegram.world.messages.values() if message.document)


async def waiting(feed: Feed, number: int) -> str:
    """Return when so many chats wait for it; the id of the job."""
    watchers = Watchers(feed.redis)
    while len(keys := await watchers.all_keys()) < number:
        pass
    return keys.pop().partition(":")[0]


@pytest.mark.usefixtures("consumet_bot")
class TestMany:
    async def test_twenty_chats_wait_for_one_upload(
        self, feed: Feed, telegram: StandIn, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        chats, let_go = crowd(telegram, 20), shelf.holds_back(1, 2)
        for chat in chats:
            await feed.followed_by(chat)
        await feed.brings(ONE)
        await waiting(feed, 20)
        telegram.faults.order(
            drop := Fault(method="sendDocument", status=403, description="Forbidden: bot was blocked")
        )
        let_go.set()
        await soon(lambda: len(documents_of(telegram)) == 19, "the files")
        await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert len(set(documents_of(telegram))) == 19
        assert len(telegram.world.messages) == 19
        # The first one's chat is gone: the next one uploads it once more, for all.
        assert (telegram.files.uploads, shelf.server.count("/1-1.jpg"), drop.times) == (2, 1, 0)

    async def test_who_asks_for_the_same_meanwhile_joins_and_may_leave(
        self, feed: Feed, mina: Person, shelf: Shelf
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await feed.followed_by(MINA)
        await feed.brings(ONE)
        job = await JobStore(feed.redis).read(await waiting(feed, 1))
        assert job
        await History(feed.redis).remember(job.request)
        await mina.sends("/jobs")
        none = await mina.sees("You have no downloads running")
        assert "you wait for it as well" in (await mina.presses_data(none, f"ga:{job.request.key}"))["text"]
        status = await mina.sees("pages 1/2")
        await mina.presses("Cancel", on=status)
        while status["message_id"] in [one["message_id"] for one in await mina.messages()]:
            pass
        await mina.presses_data(none, f"ga:{job.request.key}")
        status = await mina.sees("pages 1/2")
        let_go.set()
        file = await mina.receives_document()
        await mina.sees("✅ Done")
        assert [one["text"] for one in buttons(file)][-1] == "Unfollow"
        assert len(await mina.messages()) == 4
        assert await mina.breaches() == []

    async def test_what_the_chat_waits_for_already_comes_once_and_links_by_themselves(
        self, feed: Feed, mina: Person, shelf: Shelf
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await feed.followed_by(MINA)
        await feed.brings(ONE)
        job = await JobStore(feed.redis).read(await waiting(feed, 1))
        assert job
        # As if somebody had asked for it by hand before.
        await feed.redis.hset(f"manhwa:bot:watcher:{job.id}:{MINA}", mapping={"follow": "", f"with:{MINA}": "Mina"})
        await feed.is_new_to(MINA)
        await feed.brings(ONE, Chapter(id="2", number="2", available=False, url="https://x.test/2"))
        assert "Only elsewhere: ch 2" in (await mina.sees("🔔"))["text"]
        let_go.set()
        await mina.receives_document()
        await mina.sees("✅ Done")
        assert len([one for one in await mina.messages() if "document" in one]) == 1
