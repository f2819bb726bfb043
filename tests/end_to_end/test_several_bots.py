"""Several bot processes behind one address, each of them killed when it hurts most."""

import asyncio
import itertools
import os
import re
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.local.telegram import StandIn
from bot.local.telegram.faults import Fault
from bot.memory.follows import Way
from bot.memory.processes import CHATS
from bot.pacing import Pacing
from bot.settings import BotSettings
from tasks.models import Chapter
from tasks.resources import open_redis
from tests.conftest import beside, process
from tests.end_to_end.feed import Feed
from tests.end_to_end.proxy import Proxy
from tests.end_to_end.shelf import SEARCH, Shelf, make_large
from tests.end_to_end.test_bad_days import folders
from tests.end_to_end.test_news_for_many import HARBOUR, crowd, documents_of
from tests.person import GROUP, JUNHO, MINA, Person, soon
from tests.web_server import Reply, as_json

SECRET = "a-secret-of-the-tests"  # noqa: S105


class Bots:
    """Bot processes of one installation, by their process ids."""

    def __init__(self, environment: Mapping[str, str], folder: Path, redis: Redis, stack: AsyncExitStack) -> None:
        self._environment = environment
        self._folder = folder
        self._redis = redis
        self._stack = stack
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._addresses: dict[int, str] = {}
        self._logs: dict[int, Path] = {}
        self._numbers = itertools.count()
        self.proxy = Proxy()

    async def start(self) -> int:
        """One more, which the proxy knows."""
        log = self._folder / f"bot-{next(self._numbers)}.log"
        environment = {
            **self._environment,
            "WEBHOOK_URL": f"{self.proxy.url}/telegram",
            "WEBHOOK_SECRET": SECRET,
            "API_PORT": "0",
        }
        running = await self._stack.enter_async_context(
            beside(process(["bot"], environment, log, lambda said: "the bot is up" in said))
        )
        found = re.search(r"the web API is at (http://\S+)/api/docs", log.read_text())
        assert found
        self._running[running.pid], self._addresses[running.pid] = running, found[1]
        self._logs[running.pid] = log
        self.reach(*self._addresses)
        return running.pid

    @property
    def redis(self) -> Redis:
        return self._redis

    @property
    def pids(self) -> list[int]:
        return list(self._running)

    def reach(self, *pids: int) -> None:
        """Only these are reached from now on, though the others may live."""
        self.proxy.backends = [self._addresses[pid] for pid in pids]

    async def owner(self, chat: int) -> int:
        """The process that has the chat."""
        found = ""
        while not found:
            found = str(await self._redis.hget(CHATS, str(chat)) or "")
        return int(found.split("/")[1])

    async def other(self, chat: int) -> int:
        """One that does not have it."""
        owner = await self.owner(chat)
        return next(pid for pid, running in self._running.items() if pid != owner and running.poll() is None)

    def has_said(self, pid: int, words: str) -> bool:
        """Whether that is in the process's log."""
        return words in self._logs[pid].read_text()

    async def kill(self, pid: int) -> None:
        self._running[pid].kill()
        await asyncio.to_thread(self._running[pid].wait)


@pytest.fixture
async def bots(
    consumet_settings: BotSettings, consumet: dict[str, str], clean_environment: dict[str, str], tmp_path: Path
) -> AsyncIterator[Bots]:
    """Two of them."""
    environment = {
        **clean_environment,
        **consumet,
        "DATA_DIR": str(consumet_settings.data_dir),
        "TELEGRAM_BOT_TOKEN": consumet_settings.telegram_bot_token.get_secret_value(),
        "TELEGRAM_API_URL": consumet_settings.telegram_api_url,
    }
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(consumet_settings.redis_url))
        bots = Bots(environment, tmp_path, redis, stack)
        await stack.enter_async_context(bots.proxy.open())
        await asyncio.gather(bots.start(), bots.start())
        yield bots


async def documents(person: Person) -> int:
    return len([m for m in await person.messages() if "document" in m])


async def _shareable(redis: Redis) -> int:
    """How many files are known by words, which each gets just before it is sent."""
    return len([key async for key in redis.scan_iter("manhwa:bot:file:*")])


async def _has_more_shareable(redis: Redis, known: int) -> bool:
    return await _shareable(redis) > known


@pytest.mark.usefixtures("consumet_worker")
class TestTwo:
    @pytest.mark.usefixtures("bots")
    async def test_together_they_do_what_one_does(self, mina: Person, shelf: Shelf, telegram: StandIn) -> None:
        await mina.sends("/search harbour")
        await mina.presses("Harbour Lights")
        await mina.presses("Chapters")
        for label in ("^1$", "^2$", "^3$", "^✅ 2$"):
            await mina.presses(label)
        await mina.sees("Picked 2: 1, 3")
        sent = await mina.sends("/help", twice=True)
        await mina.sees("I download manga", after=sent)
        await mina.presses(r"Download \(2\)")
        await mina.receives_document("Harbour Lights - 1, 3")
        await mina.sees("✅ Done", after=sent)
        assert len([m for m in await mina.messages() if "I download manga" in m.get("text", "")]) == 1
        assert (await documents(mina), shelf.server.count("/1-1.jpg")) == (1, 1)
        assert telegram.methods.webhook.info()["pending_update_count"] == 0
        assert await mina.breaches() == []

    async def test_a_press_may_come_to_the_other_one(
        self, junho_in_group: Person, sofia_in_group: Person, shelf: Shelf, bots: Bots
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        sent = await junho_in_group.sends(shelf.command(1))
        status = await junho_in_group.sees("pages 1/2", after=sent)
        bots.reach(await bots.other(GROUP))
        await sofia_in_group.presses("Join", on=status)
        await junho_in_group.sees("Sofía", after=sent)
        await junho_in_group.presses("Cancel", on=status)
        await sofia_in_group.presses("Cancel", on=status)
        await junho_in_group.sees("✖ Cancelled by Sofía", after=sent)
        let_go.set()

    async def test_killed_in_mid_download_the_other_goes_on(self, mina: Person, shelf: Shelf, bots: Bots) -> None:
        let_go = shelf.holds_back(2, 1)
        sent = await mina.sends(shelf.command(1, 2))
        status = await mina.sees("pages 3/4", after=sent)
        await bots.kill(await bots.owner(MINA))
        let_go.set()
        await mina.receives_document()
        assert (await mina.sees("✅ Done", after=sent))["message_id"] == status["message_id"]
        assert await documents(mina) == 1
        await mina.sends("/jobs")
        await mina.sees("You have no downloads running")

    async def test_killed_in_mid_upload_the_other_sends_the_file(
        self, mina: Person, shelf: Shelf, telegram: StandIn, bots: Bots, consumet_settings: BotSettings
    ) -> None:
        make_large(shelf, edge=2000)  # more than the sockets between the two hold
        await mina.orders_fault(method="sendDocument", unread=True, delay=30)
        sent = await mina.sends(shelf.command(1, 2, 3))
        status = await mina.sees("Uploading", after=sent)
        await soon(lambda: telegram.faults.used("sendDocument"), "the upload's beginning")
        await bots.kill(await bots.owner(MINA))
        await mina.receives_document()
        assert (await mina.sees("✅ Done", after=sent))["message_id"] == status["message_id"]
        await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert await documents(mina) == 1

    async def test_killed_before_telegram_s_answer_nobody_sends_the_file_again(
        self, mina: Person, shelf: Shelf, bots: Bots, consumet_settings: BotSettings
    ) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, delay=30)
        sent = await mina.sends(shelf.command(1))
        await mina.receives_document()
        await bots.kill(await bots.owner(MINA))
        await mina.sees("Sent, but Telegram's answer was lost", after=sent)
        await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert await documents(mina) == 1

    async def test_one_that_wakes_up_late_says_nothing_more(
        self, mina: Person, shelf: Shelf, telegram: StandIn, bots: Bots
    ) -> None:
        make_large(shelf, edge=2000)
        await mina.orders_fault(method="sendDocument", unread=True, delay=30)
        sent = await mina.sends(shelf.command(1, 2, 3))
        await mina.sees("Uploading", after=sent)
        await soon(lambda: telegram.faults.used("sendDocument"), "the upload's beginning")
        asleep, awake = await bots.owner(MINA), await bots.other(MINA)
        os.kill(asleep, signal.SIGSTOP)
        bots.reach(awake)
        await mina.sees("✅ Done", after=sent)
        os.kill(asleep, signal.SIGCONT)
        bots.reach(asleep)
        # It is one of them again, and what it knew of the chat is over.
        sent = await mina.sends("/help")
        await mina.sees("I download manga", after=sent)
        bots.reach(awake)
        again = await mina.sends(shelf.command(2))
        await mina.receives_document(after=again)
        await mina.sees("✅ Done", after=again)
        assert await documents(mina) == 2
        assert await mina.breaches() == []

    async def test_killed_before_a_copy_had_its_turn_the_other_sends_it(
        self, mina: Person, junho: Person, shelf: Shelf, bots: Bots, telegram: StandIn
    ) -> None:
        await mina.sends(shelf.command(1))
        file = await mina.receives_document()
        await mina.sees("✅ Done")
        pacing, known = Pacing(bots.redis), await _shareable(bots.redis)
        await pacing.shut(JUNHO, 60)
        first, second = bots.pids
        bots.reach(first)
        await junho.sends(shelf.command(1))
        await soon(lambda: _has_more_shareable(bots.redis, known), "the copy waits for its turn")
        bots.reach(second)
        await bots.kill(first)
        await pacing.shut(JUNHO, 0)
        assert (await junho.receives_document())["document"]["file_id"] == file["document"]["file_id"]
        assert (await documents(junho), telegram.files.uploads) == (1, 1)

    @pytest.mark.usefixtures("shelf")
    async def test_killed_behind_a_tap_the_other_does_not_take_it_back(
        self, mina: Person, telegram: StandIn, bots: Bots
    ) -> None:
        await mina.sends("/search harbour")
        await mina.presses("Harbour Lights")
        await mina.presses("Chapters")
        picker = await mina.sees("Pick chapters")
        first, second = bots.pids
        bots.reach(first)
        await mina.orders_fault(method="editMessageText", late=30)
        await mina.presses("^1$", on=picker)
        await soon(lambda: telegram.faults.used("editMessageText"), "the tap's edit")
        bots.reach(second)
        await bots.kill(first)
        await mina.sees("Picked 1: 1")

    async def test_a_handler_that_wakes_up_late_says_nothing_more(self, mina: Person, shelf: Shelf, bots: Bots) -> None:
        let_go = threading.Event()
        found = {"results": [{"id": "7/harbour-lights", "title": "Harbour Lights"}]}
        shelf.server.on(SEARCH, Reply(wait_for=let_go), as_json(found))
        asleep, awake = bots.pids
        bots.reach(asleep)
        await mina.sends("/search harbour")
        await soon(lambda: shelf.server.count(SEARCH), "the search")
        os.kill(asleep, signal.SIGSTOP)
        bots.reach(awake)
        await mina.sees_button("Harbour Lights")
        os.kill(asleep, signal.SIGCONT)
        let_go.set()
        await soon(lambda: bots.has_said(asleep, "who has the update in hand now goes on"), "it knows")
        said = [m.get("text", "") for m in await mina.messages()]
        assert [text.endswith("…") for text in said if "🔎" in text] == [True, False]

    async def test_what_the_dead_one_had_in_hand_the_other_handles(
        self, mina: Person, shelf: Shelf, bots: Bots
    ) -> None:
        let_go = threading.Event()
        shelf.server.on(SEARCH, Reply(wait_for=let_go))
        first, second = bots.pids
        bots.reach(first)
        await mina.sends("/search harbour")
        await soon(lambda: shelf.server.count(SEARCH), "the search")
        bots.reach(second)
        await bots.kill(first)
        let_go.set()
        shelf.server.on(SEARCH, as_json({"results": [{"id": "7/harbour-lights", "title": "Harbour Lights"}]}))
        await mina.sees_button("Harbour Lights")


@pytest.mark.usefixtures("consumet_worker")
class TestNews:
    async def test_killed_over_an_upload_for_many_each_chat_gets_it_once(
        self, shelf: Shelf, telegram: StandIn, bots: Bots, consumet_settings: BotSettings
    ) -> None:
        feed, chats = Feed(bots.redis, HARBOUR), crowd(telegram, 8)
        make_large(shelf, edge=2000)
        telegram.faults.order(Fault(method="sendDocument", unread=True, delay=30))
        for chat in chats:
            await feed.followed_by(chat)
        await feed.brings(*(Chapter(id=Shelf.chapter(n), number=str(n)) for n in (1, 2, 3)))
        await soon(lambda: telegram.faults.used("sendDocument"), "the upload's beginning")
        for pid in bots.pids:
            await bots.kill(pid)
        await bots.start()
        await soon(lambda: len(documents_of(telegram)) >= 8, "the files")
        await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert documents_of(telegram) == chats
        assert len(telegram.world.messages) == 8
        assert telegram.files.uploads == 1

    async def test_killed_before_telegram_s_answer_the_next_notice_says_so(self, mina: Person, bots: Bots) -> None:
        feed = Feed(bots.redis, HARBOUR)
        await feed.followed_by(MINA, way=Way.NOTICE)
        await mina.orders_fault(method="sendMessage", do_it=True, delay=30)
        await feed.brings(Chapter(id=Shelf.chapter(1), number="1"))
        await mina.sees("🔔")
        await bots.kill(await bots.owner(MINA))
        await mina.sees("You may have got this already")
        await feed.is_told()
        assert len(await mina.messages()) == 2
