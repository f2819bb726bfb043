"""New chapters of followed titles arrive by themselves, each once."""

import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.local.telegram import StandIn
from bot.memory.follows import Way
from bot.memory.parcels import OUTBOX
from bot.memory.processes import CHATS
from bot.memory.quiet_hours import DAY, Quiet, QuietHours
from bot.middlewares import Polite
from bot.settings import BotSettings
from tasks.jobs.store import JobStore
from tasks.models import ArchiveFormat
from tasks.resources import open_redis
from tests.conftest import running_bot
from tests.end_to_end.feed import LANTERN, Feed, chapter
from tests.person import GROUP, JUNHO, MINA, SMALL_GROUP, SOFIA, Message, Person, buttons

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("herald.LOOK_SECONDS", "herald.LATER_SECONDS", "watch.TROUBLE_SECONDS"):
        monkeypatch.setattr(f"bot.delivery.{where}", 0.1)


@pytest.fixture
async def feed(settings: BotSettings) -> AsyncIterator[Feed]:
    async with open_redis(settings.redis_url) as redis:
        yield Feed(redis)


def labels(message: Message) -> list[str]:
    return [button["text"] for button in buttons(message)]


ROW = ["⏸ Pause", "🌙 Muted hours", "Unfollow"]


@pytest.mark.usefixtures("bot")
async def test_several_new_chapters_come_as_one_file_and_nothing_else(
    feed: Feed, mina: Person, tmp_path: Path, store: JobStore
) -> None:
    await feed.followed_by(MINA, format=ArchiveFormat.CBZ)
    await feed.brings(chapter("1"), chapter("2"))
    file = await mina.receives_document(r"1-2\.cbz$")
    assert "ch 1–2" in file["caption"]
    assert labels(file) == ["Share", "Copy link", *ROW]
    with zipfile.ZipFile(await mina.saves(file, tmp_path / "file.cbz")) as archive:
        assert archive.testzip() is None
    await feed.brings(chapter("1"), chapter("2"), chapter("3"))
    await mina.receives_document(r"- 3\.cbz$")
    assert len(await mina.messages()) == 2
    assert (await store.figures()).ends == {"ready": 2}
    assert await mina.breaches() == []


@pytest.mark.usefixtures("bot")
async def test_only_the_language_and_the_group_that_were_chosen(feed: Feed, mina: Person, junho: Person) -> None:
    await feed.followed_by(MINA, language="en", group="Bell Scans")
    await feed.followed_by(JUNHO, language="fr")
    others = chapter("2", id="lantern-2-of-others"), chapter("2", groups=("Bell Scans",))
    gone = chapter("3", id="lantern-3-gone", groups=("Bell Scans",), available=False)
    await feed.brings(*others, gone, chapter("3"), chapter("4", language="es"))
    await feed.is_told()
    file = await mina.receives_document("2-3")
    assert "Bell Scans, Demo Scans" in file["caption"]
    assert "Missing" not in file["caption"]
    assert await junho.messages() == []


@pytest.mark.usefixtures("bot")
async def test_a_notice_has_links_and_a_button_that_gets_the_rest(feed: Feed, mina: Person) -> None:
    await feed.followed_by(MINA, way=Way.NOTICE)
    linked = chapter("3", id="<x>", groups=("<b>",), available=False, url='https://x.test/?a="&b=<3>')
    await feed.brings(chapter("1"), chapter("2"), linked)
    notice = await mina.sees("🔔")
    assert notice["text"].split("\n") == [
        "🔔 The Lantern Keeper's Cat · ch 1–3 (3)",
        "👥 Demo Scans, <b> · demo",
        "↗ Only elsewhere: ch 3",
    ]
    link = next(one for one in notice["entities"] if one["type"] == "text_link")
    assert link["url"] == 'https://x.test/?a="&b=<3>'
    assert labels(notice) == ["Get", *ROW]
    assert (await mina.presses("Get", on=notice))["text"] == "On its way."
    await mina.receives_document("1-2")


@pytest.mark.usefixtures("bot")
async def test_what_is_only_elsewhere_is_a_notice_without_get(feed: Feed, mina: Person) -> None:
    await feed.followed_by(MINA)
    await feed.brings(chapter("1", available=False, url="javascript:alert(1)"))
    notice = await mina.sees("Only elsewhere: ch 1")
    assert labels(notice) == ROW
    assert not [one for one in notice["entities"] if one["type"] == "text_link"]


@pytest.mark.usefixtures("bot")
async def test_a_group_gets_it_in_its_topic_and_those_who_ask_meanwhile_join(
    feed: Feed, junho_in_group: Person, telegram: StandIn
) -> None:
    await feed.followed_by(GROUP, thread_id=2, user_id=JUNHO)
    linked = chapter("2.5", available=False, url="https://x.test/2.5")
    await feed.brings(chapter("1"), chapter("2"), linked)
    file = await junho_in_group.receives_document()
    assert "Only elsewhere: ch 2.5" in file["caption"]
    assert labels(file) == ["Share", "Copy link", *ROW]
    await junho_in_group.sends("/download demo lantern-1 lantern-2")
    await junho_in_group.receives_document(after=file["message_id"])
    assert telegram.files.uploads == 2  # another request: what is known of its chapters differs
    assert len(await junho_in_group.messages()) == 4


@pytest.mark.usefixtures("bot")
async def test_who_follows_too_gets_telegram_s_copy(
    feed: Feed, mina: Person, junho: Person, telegram: StandIn, store: JobStore
) -> None:
    await feed.followed_by(MINA)
    await feed.brings(chapter("1"))
    first = await mina.receives_document()
    await feed.followed_by(JUNHO)
    await feed.is_new_to(JUNHO)
    second = await junho.receives_document()
    assert second["document"]["file_id"] == first["document"]["file_id"]
    assert labels(second) == labels(first)
    assert telegram.files.uploads == 1
    assert (await store.figures()).ends == {"ready": 1}


@pytest.mark.usefixtures("bot")
class TestTrouble:
    """What Telegram may say to news."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Polite, "ATTEMPTS", 1)

    @pytest.mark.parametrize(("way", "method"), [(Way.NOTICE, "sendMessage"), (Way.FILE, "sendDocument")])
    async def test_who_blocked_the_bot_follows_nothing_any_more(
        self, feed: Feed, mina: Person, way: Way, method: str
    ) -> None:
        await feed.followed_by(MINA, way=way)
        await mina.orders_fault(method=method, status=403, description="Forbidden: bot was blocked by the user")
        await feed.brings(chapter("1"))
        while await feed.follows.keys_of(MINA):
            pass
        await feed.is_told()
        assert await feed.titles.read(LANTERN.key) is None
        assert await mina.messages() == []

    @pytest.mark.parametrize("way", [Way.NOTICE, Way.FILE])
    async def test_a_group_that_became_a_supergroup_gets_it_there(
        self, feed: Feed, mina: Person, telegram: StandIn, way: Way
    ) -> None:
        await feed.followed_by(SMALL_GROUP, user_id=SOFIA, way=way)
        await mina.sets_rules(upgraded=True)
        await feed.brings(chapter("1"))
        async with Person(telegram.url, SOFIA, chat=GROUP) as there:
            await there.sees("ch 1")
            await feed.brings(chapter("1"), chapter("2"))
            await there.sees("ch 2")
            assert len(await there.messages()) == 2
        assert [one.chat_id for one in await feed.follows.of(GROUP)] == [GROUP]

    @pytest.mark.parametrize(("way", "method"), [(Way.NOTICE, "sendMessage"), (Way.FILE, "sendDocument")])
    async def test_where_the_bot_may_not_write_it_comes_in_private(
        self, feed: Feed, junho: Person, junho_in_group: Person, way: Way, method: str
    ) -> None:
        await feed.followed_by(GROUP, user_id=JUNHO, thread_id=2, way=way)
        no = "Bad Request: not enough rights to send text messages to the chat"
        await junho.orders_fault(method=method, status=400, description=no)
        await feed.brings(chapter("1"))
        assert "I may not write where you asked for it" in str(await junho.sees("ch 1"))
        assert len(await junho.messages()) == 1
        assert not [one for one in await junho_in_group.messages() if "document" in one or "🔔" in one["text"]]

    @pytest.mark.parametrize(("way", "method"), [(Way.NOTICE, "sendMessage"), (Way.FILE, "sendDocument")])
    async def test_a_closed_topic_is_left_for_the_general_one(
        self, feed: Feed, mina: Person, telegram: StandIn, way: Way, method: str
    ) -> None:
        await feed.followed_by(GROUP, user_id=JUNHO, thread_id=2, way=way)
        await mina.orders_fault(method=method, status=400, description="Bad Request: TOPIC_CLOSED")
        await feed.brings(chapter("1"))
        async with Person(telegram.url, JUNHO, chat=GROUP) as in_general:
            await in_general.sees("ch 1")

    async def test_a_notice_whose_answer_was_lost_says_so_when_it_comes_again(self, feed: Feed, mina: Person) -> None:
        await feed.followed_by(MINA, way=Way.NOTICE)
        await mina.orders_fault(method="sendMessage", do_it=True, drop=True)
        await feed.brings(chapter("1"))
        await mina.sees("You may have got this already")
        await feed.is_told()
        assert len(await mina.messages()) == 2

    async def test_a_file_whose_answer_was_lost_is_not_sent_again(self, feed: Feed, mina: Person) -> None:
        await feed.followed_by(MINA)
        await mina.orders_fault(method="sendDocument", do_it=True, drop=True)
        await feed.brings(chapter("1"))
        assert labels(await mina.sees("Sent, but Telegram's answer was lost")) == ["Retry", *ROW]
        assert len(await mina.messages()) == 2

    async def test_a_copy_whose_answer_was_lost_is_not_sent_again(
        self, feed: Feed, mina: Person, junho: Person, telegram: StandIn
    ) -> None:
        await feed.followed_by(MINA)
        await feed.brings(chapter("1"))
        await mina.receives_document()
        await junho.orders_fault(method="sendDocument", do_it=True, drop=True)
        await feed.followed_by(JUNHO)
        await feed.is_new_to(JUNHO)
        assert labels(await junho.sees("You may have got this already")) == ["Get", *ROW]
        assert len(await junho.messages()) == 2
        assert telegram.files.uploads == 1

    async def test_while_telegram_is_down_nothing_is_said_twice(self, feed: Feed, mina: Person) -> None:
        await feed.followed_by(MINA, way=Way.NOTICE)
        await mina.orders_fault(method="sendMessage", times=2, status=502, body="<html>Bad Gateway</html>")
        await feed.brings(chapter("1"))
        assert "already" not in (await mina.sees("🔔"))["text"]
        assert len(await mina.messages()) == 1

    async def test_what_can_not_be_had_is_told_once(self, feed: Feed, mina: Person) -> None:
        await feed.followed_by(MINA)
        await feed.brings(chapter("1", id="nowhere"))
        failed = await mina.sees("❌ Failed")
        assert labels(failed) == ["Retry", *ROW]
        await feed.brings(chapter("1", id="nowhere"), chapter("2"), chapter("3", id="nowhere-else"))
        file = await mina.receives_document()
        assert "Missing:\nch 3" in file["caption"]
        assert labels(file) == ["Share", "Copy link", "Retry", *ROW]
        assert len(await mina.messages()) == 2


@pytest.mark.parametrize("how", ["muted", "paused"])
async def test_what_a_chat_does_not_want_to_hear_now_comes_when_it_does(
    feed: Feed, mina: Person, bot_settings: BotSettings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("bot.delivery.packing.LONGEST_WAIT", 0.5)
    hours = QuietHours(feed.redis)
    await feed.followed_by(MINA, way=Way.NOTICE, paused=how == "paused")
    if how == "muted":
        minute = int(time.time() / 60) % DAY
        await hours.choose(MINA, Quiet(begins=minute, ends=(minute + 60) % DAY))
    await feed.brings(chapter("1"))
    for _ in range(2):
        async with running_bot(bot_settings):
            while await feed.titles.to_tell(time.time(), 1):
                pass
    await feed.brings(chapter("1"), chapter("2"))
    async with running_bot(bot_settings):
        await hours.choose(MINA, None)
        await feed.follows.change(MINA, LANTERN.key, paused=False)
        await mina.sees("ch 1–2")
        await feed.is_told()
        assert len(await mina.messages()) == 1


async def test_a_bot_that_ends_while_a_chat_waits_for_its_turn_has_said_nothing(
    feed: Feed, mina: Person, junho: Person, bot_settings: BotSettings
) -> None:
    async with running_bot(bot_settings):
        await feed.followed_by(JUNHO)
        await feed.brings(chapter("1"))
        await junho.receives_document()
        await feed.redis.set(turn := f"manhwa:bot:spoke:{MINA}", "1", px=60_000)
        await feed.followed_by(MINA)
        await feed.is_new_to(MINA)
        # The buttons are made just before the file is to go.
        buttons_made = len(await feed.redis.keys("manhwa:bot:file:*")) + 1
        while len(await feed.redis.keys("manhwa:bot:file:*")) < buttons_made:
            pass
        while not await feed.redis.hexists(CHATS, str(MINA)):
            pass
    await feed.redis.delete(turn)
    async with running_bot(bot_settings):
        await mina.sees("ch 1")
        await feed.is_told()
    assert "already" not in str(await mina.messages())
    assert len(await mina.messages()) == 1


@pytest.mark.usefixtures("bot")
async def test_what_is_not_followed_any_more_is_not_brought(feed: Feed, mina: Person) -> None:
    await feed.followed_by(MINA, way=Way.NOTICE)
    # Not for longer: who brings it remembers until when the chat wants silence.
    await feed.redis.set(turn := f"manhwa:bot:shut:{MINA}", "1", px=3_000)
    await feed.brings(chapter("1"))
    while not await feed.redis.exists(OUTBOX):
        pass
    await feed.follows.remove(MINA, LANTERN.key)
    await feed.redis.delete(turn)
    await feed.is_told()
    assert await mina.messages() == []
