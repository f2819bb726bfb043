"""Titles are followed, and their new chapters come by themselves: a folder of comics, real workers, the stand-in Telegram."""

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.local.telegram import StandIn
from bot.memory.bans import Bans
from bot.memory.follows import Follow, Follows
from bot.memory.quiet_hours import Quiet, QuietHours
from bot.settings import BotSettings
from tasks.look import look
from tasks.models import Chapter, Manga
from tasks.resources import open_redis
from tasks.titles.store import TitleStore
from tests.conftest import StartWorker, on_database, running_bot
from tests.person import GROUP, MINA, SMALL_GROUP, SOFIA, Person, buttons, soon
from tests.tasks.sources.test_library import archive, picture
from tests.tasks.test_look import all_due

TITLE = "Lantern Road"
KEY = Manga(source="library", id=TITLE, title=TITLE).key


class Library:
    """A folder of comics that grows, looked at when a test says so."""

    def __init__(self, folder: Path, settings: BotSettings, redis: Redis) -> None:
        self.folder = folder
        self.settings = settings
        self.redis = redis

    def add(self, *numbers: int, title: str = TITLE) -> None:
        for number in numbers:
            path = archive(self.folder / title / f"Chapter {number:03}.cbz", {"1.png": picture(number)})
            os.utime(path, (1e9, 1e9))

    async def is_looked_at(self) -> None:
        """As beat has it done, when the time has come."""
        await all_due(self.redis)
        await look(self.settings)


@pytest.fixture
def bot_settings(bot_settings: BotSettings) -> BotSettings:
    """With a queue apart from the demo library's worker."""
    return on_database(bot_settings, 1)


@pytest.fixture
async def redis(bot_settings: BotSettings) -> AsyncIterator[Redis]:
    async with open_redis(bot_settings.redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def environment(session_settings: BotSettings, folder: Path) -> dict[str, str]:
    """Settings of a worker that has the library."""
    return {"LIBRARY_DIR": str(folder), "CELERY_BROKER_URL": on_database(session_settings, 1).broker_url}


@pytest.fixture(scope="class")
def worker(start_worker: StartWorker, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with start_worker("library", **environment) as running:
        yield running


@pytest.fixture
def library(folder: Path, bot_settings: BotSettings, redis: Redis) -> Library:
    for path in folder.rglob("*.cbz"):
        path.unlink()
    found = Library(folder, bot_settings.model_copy(update={"library_dir": folder}), redis)
    found.add(1)
    return found


@pytest.fixture
async def bot(library: Library) -> AsyncIterator[BotSettings]:
    async with running_bot(library.settings):
        yield library.settings


async def opens_card(person: Person, title: str = TITLE) -> dict[str, Any]:
    await person.sends(f"/search {title}")
    await person.presses(title)
    return await person.sees("Source: library")


async def follows_it(person: Person, title: str = TITLE) -> None:
    card = await opens_card(person, title)
    told = await person.presses("^Follow$", on=card)
    assert told["text"].startswith("New chapters come by themselves")
    await person.presses("✓ Following", on=card)
    await person.sees("Not looked for new chapters yet|Looked for new chapters")


async def documents(person: Person) -> list[str]:
    return [m["document"]["file_name"] for m in await person.messages() if "document" in m]


def labels(message: dict[str, Any]) -> list[str]:
    return [button["text"] for button in buttons(message)]


@pytest.mark.usefixtures("worker", "bot")
class TestFollowing:
    async def test_new_chapters_come_as_one_file_and_nothing_else_is_said(
        self, mina: Person, library: Library, redis: Redis
    ) -> None:
        await follows_it(mina)
        await library.is_looked_at()
        library.add(2, 3)
        last = (await mina.messages())[-1]["message_id"]
        await library.is_looked_at()
        file = await mina.receives_document(after=last)
        assert file["document"]["file_name"] == f"{TITLE} - 2-3.zip"
        assert "ch 2–3" in file["caption"]
        assert labels(file) == ["Share", "Copy link", "⏸ Pause", "🌙 Muted hours", "Unfollow"]
        await library.is_looked_at()
        await soon(lambda: asyncio.sleep(0, True), "a moment")
        assert [m["message_id"] for m in await mina.messages() if m["message_id"] > last] == [file["message_id"]]
        history = await mina.sees(r"1\. Lantern Road · ch 2–3", after=await mina.sends("/history"))
        assert labels(history) == ["Get again"]
        assert await redis.hlen("manhwa:bot:parcels") == 0
        assert await mina.breaches() == []

    async def test_a_notice_has_a_button_that_gets_it(self, mina: Person, library: Library) -> None:
        await follows_it(mina)
        await mina.presses("New chapters come as a file")
        await mina.sees_button("New chapters come as a notice")
        library.add(2, 3)
        await library.is_looked_at()
        notice = await mina.sees(r"🔔 Lantern Road · ch 2–3 \(2\)")
        assert labels(notice) == ["Get", "⏸ Pause", "🌙 Muted hours", "Unfollow"]
        assert await documents(mina) == []
        await mina.presses("Get", on=notice)
        await mina.receives_document()

    async def test_paused_it_waits_and_comes_all_at_once_when_it_goes_on(self, mina: Person, library: Library) -> None:
        await follows_it(mina)
        library.add(2)
        await library.is_looked_at()
        first = await mina.receives_document()
        assert (await mina.presses("⏸ Pause", on=first))["text"] == "Paused: new chapters wait."
        paused = await mina.sees_button("▶ Go on")
        assert labels(paused) == ["Share", "Copy link", "▶ Go on", "🌙 Muted hours", "Unfollow"]
        for number in (3, 4):
            library.add(number)
            await library.is_looked_at()
        await mina.presses("▶ Go on", on=first)
        second = await mina.receives_document(after=first["message_id"])
        assert second["document"]["file_name"] == f"{TITLE} - 3-4.zip"
        assert len(await documents(mina)) == 2

    async def test_who_unfollows_at_the_message_gets_no_more(
        self, mina: Person, library: Library, redis: Redis
    ) -> None:
        await follows_it(mina)
        library.add(2)
        await library.is_looked_at()
        first = await mina.receives_document()
        assert (await mina.presses("Unfollow", on=first))["text"] == "Not followed any more."
        assert (await mina.presses_data(first, f"fn:{KEY}:p"))["text"] == "That title is not followed here any more."
        assert [key async for key in redis.scan_iter("manhwa:title:*")] == []
        await mina.sees("Nothing is followed here yet", after=await mina.sends("/following"))

    async def test_muted_hours_end_with_everything_that_came(
        self, mina: Person, library: Library, redis: Redis
    ) -> None:
        await follows_it(mina)
        await mina.sends("/following")
        listed = await mina.sees(r"Followed here \(1\)")
        await mina.presses("Muted hours", on=listed)
        await mina.sees("New chapters come at any hour")
        await mina.presses("Switch on", on=listed)
        await mina.sees("From 23:00 until 08:00 no new chapters come")
        muted = await mina.sees_button("From 23:00")
        await asyncio.gather(*(mina.presses_data(muted, "fh:B") for _ in range(2)))
        await mina.sees("From 01:00 until 08:00")
        await QuietHours(redis).choose(MINA, Quiet(begins=0, ends=24 * 60 - 1, offset=0))
        for number in (2, 3):
            library.add(number)
            await library.is_looked_at()
        await soon(lambda: _is_put_off(redis), "it is night")
        assert await documents(mina) == []
        await mina.presses("Switch off", on=listed)
        file = await mina.receives_document()
        assert file["document"]["file_name"] == f"{TITLE} - 2-3.zip"

    async def test_who_blocks_the_bot_follows_nothing_any_more(
        self, mina: Person, library: Library, redis: Redis
    ) -> None:
        await follows_it(mina)
        await mina.turns_bot_out()
        await soon(lambda: _is_forgotten(redis), "it is unfollowed")
        await mina.turns_bot_out(gone=False)
        library.add(2)
        await library.is_looked_at()
        await mina.sees("Nothing is followed here yet", after=await mina.sends("/following"))

    async def test_a_list_goes_out_and_comes_in_again(
        self, mina: Person, junho: Person, library: Library, tmp_path: Path
    ) -> None:
        library.add(1, title="Harbour Lights")
        for title in (TITLE, "Harbour Lights"):
            await follows_it(mina, title)
        long = Manga(source="library", id="Long", title="x" * 2000, url="http://x.test/" + "y" * 900)
        await Follows(library.redis).add(Follow(manga=long, chat_id=MINA, user_id=MINA), [])
        await mina.sends("/following")
        await mina.presses("Export")
        path = await mina.saves(await mina.receives_document("following.json"), tmp_path / "list.json")
        told = json.loads(path.read_text())
        told["follows"].append({"source": "nowhere", "id": "x", "title": "<b>Gone</b>"})
        told["follows"] += [{"nonsense": 1}, "nonsense"]
        body = json.dumps(told).encode()
        junho.language = "en"
        await junho.attaches("following.json", body)
        answer = await junho.sees("3 titles are followed from now on")
        assert "These can't be followed here: <b>Gone</b>, ?, ?" in answer["text"]
        await junho.attaches("following.json", body)
        await junho.sees("0 titles are followed from now on")
        await library.is_looked_at()
        library.add(2)
        await library.is_looked_at()
        await junho.receives_document()
        for wrong in (b"", b"{", b"[]", b'{"version": 2, "follows": []}', b"\xff" * 100):
            await junho.sees("That is no list", after=await junho.attaches("following.json", wrong))

    async def test_what_is_stored_of_a_person_goes(self, mina: Person, redis: Redis) -> None:
        await follows_it(mina)
        await QuietHours(redis).choose(MINA, Quiet())
        await mina.sees("nothing about you is stored", after=await mina.sends("/forget"))
        left = [key async for key in redis.scan_iter("manhwa:*") if re.search("follow|title|quiet", key)]
        assert [key for key in left if "looks" not in key and "bot:title" not in key] == []


@pytest.mark.usefixtures("worker", "bot")
class TestGroup:
    async def test_a_group_follows_and_only_who_did_it_or_an_admin_changes_that(
        self, sofia_in_group: Person, junho_in_group: Person, mina_in_group: Person, library: Library
    ) -> None:
        for person in (sofia_in_group, junho_in_group, mina_in_group):
            person.language = "en"
        await follows_it(sofia_in_group)
        library.add(2)
        await library.is_looked_at()
        file = await sofia_in_group.receives_document()
        assert file["message_thread_id"] == 2
        refused = await junho_in_group.presses("Unfollow", on=file)
        assert (refused["alert"], refused["text"]) == (True, "Only who follows it, or an admin, can change that.")
        assert (await mina_in_group.presses("Unfollow", on=file))["text"] == "Not followed any more."

    @pytest.mark.usefixtures("library")
    async def test_a_list_in_a_group_belongs_to_who_opened_it(
        self, sofia_in_group: Person, junho_in_group: Person
    ) -> None:
        await follows_it(sofia_in_group)
        listed = await sofia_in_group.sees("Followed here", after=await sofia_in_group.sends("/following"))
        for label in (TITLE, "Muted hours", "Export"):
            refused = await junho_in_group.presses(label, on=listed)
            assert (refused["alert"], refused["text"]) == (
                True,
                "Somebody else opened this. Send /following to open your own.",
            )
        await sofia_in_group.presses(TITLE, on=listed)
        await sofia_in_group.sees(
            "New chapters come as a file|Looked for new chapters|Not looked", after=listed["message_id"] - 1
        )
        refused = await junho_in_group.presses("‹ Following", on=listed)
        assert refused["alert"]
        await sofia_in_group.presses("‹ Following", on=listed)
        await sofia_in_group.presses("Export", on=await sofia_in_group.sees("Followed here"))
        await sofia_in_group.receives_document("following.json")

    @pytest.mark.parametrize("told", [("left",), ("left", "moved"), ("moved", "left")])
    async def test_a_group_that_became_a_supergroup_follows_there(
        self, telegram: StandIn, library: Library, redis: Redis, told: tuple[str, ...]
    ) -> None:
        async with (
            Person(telegram.url, SOFIA, chat=SMALL_GROUP) as sofia,
            Person(telegram.url, SOFIA, chat=GROUP) as then,
        ):
            await follows_it(sofia)
            await sofia.upgrades_group(*told)
            await soon(lambda: _follows_nothing(redis, SMALL_GROUP), "the small group follows nothing")
            library.add(2)
            await library.is_looked_at()
            await then.receives_document()

    @pytest.mark.usefixtures("library")
    async def test_whoever_made_it_a_supergroup_it_follows_there(self, telegram: StandIn, redis: Redis) -> None:
        async with Person(telegram.url, SOFIA, chat=SMALL_GROUP) as sofia:
            await follows_it(sofia)
            await Bans(redis).ban(SOFIA)
            await sofia.upgrades_group("moved")
            await soon(lambda: _follows_nothing(redis, SMALL_GROUP), "the small group follows nothing")
        assert await Follows(redis).keys_of(GROUP) == [KEY]

    @pytest.mark.usefixtures("library")
    async def test_a_small_group_that_removed_the_bot_follows_nothing(self, telegram: StandIn, redis: Redis) -> None:
        async with Person(telegram.url, SOFIA, chat=SMALL_GROUP) as sofia:
            await follows_it(sofia)
            await sofia.turns_bot_out()
            await soon(lambda: _is_forgotten(redis), "it is unfollowed")


@pytest.mark.usefixtures("worker")
class TestManyChats:
    async def test_all_who_follow_a_title_cost_one_job_and_one_upload(
        self, library: Library, telegram: StandIn, redis: Redis
    ) -> None:
        chats = [await _further_chat(telegram, n) for n in range(20)]
        manga = Manga(source="library", id=TITLE, title=TITLE)
        for chat in chats:
            follow = Follow(manga=manga, chat_id=chat, user_id=chat)
            await Follows(redis).add(follow, [Chapter(id=f"{TITLE}/Chapter 001.cbz", number="1")])
        library.add(2)
        async with running_bot(library.settings):
            await library.is_looked_at()
            await soon(lambda: _all_have_one(telegram, chats), "everybody has it")
        assert telegram.files.uploads == 1
        assert await redis.hget("manhwa:jobs:ends", "ready") == "1"
        assert telegram.world.breaches == []


async def _further_chat(telegram: StandIn, number: int) -> int:
    from aiogram.types import Chat  # noqa: PLC0415

    chat = Chat(id=-1000000002000 - number, type="supergroup", title=f"Group {number}")
    telegram.world.further_chats = (*telegram.world.further_chats, chat)
    return chat.id


async def _all_have_one(telegram: StandIn, chats: list[int]) -> bool:
    got = [message.chat.id for message in telegram.world.messages.values() if message.document]
    return sorted(got) == sorted(chats)


async def _follows_nothing(redis: Redis, chat: int) -> bool:
    return not await Follows(redis).keys_of(chat)


async def _is_put_off(redis: Redis) -> bool:
    at = await redis.zscore("manhwa:titles:to-tell", f"{KEY}:{MINA}")
    return bool(at and at > time.time() + 100)


async def _is_forgotten(redis: Redis) -> bool:
    return await TitleStore(redis).read(KEY) is None
