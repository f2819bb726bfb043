"""What one release wrote another one reads, or refuses with a sentence. `samples/records` was written by earlier releases and
is never changed: a later shape gets a file of its own."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.destination import Destination
from bot.memory.boards import Board, BoardMemory
from bot.memory.follows import Follows, Way
from bot.memory.found import Found
from bot.memory.history import History
from bot.memory.menus import Menus, Picker, Results
from bot.memory.preferences import Chosen
from bot.memory.processes import Processes
from bot.memory.shared import Shared
from bot.memory.updates import Updates
from bot.memory.watchers import Watchers
from bot.settings import BotSettings
from tasks import janitor
from tasks.errors import OtherVersion
from tasks.jobs.job import VERSION
from tasks.jobs.store import JobStore
from tasks.models import ArchiveFormat, Chapter, Quality, Rating, Split
from tasks.storage import open_storage
from tasks.titles.store import TitleStore
from tasks.titles.title import VERSION as TITLES_VERSION
from tasks.workspace import Workspace
from tests.conftest import running_bot
from tests.person import Person

SAMPLES = Path(__file__).parent / "samples" / "records"
QUEUED, AT_WORK, READY, FAILED = (f"00000000000000a{n}" for n in range(1, 5))
GROUP = -1001
TITLE = "cecf7bf20966cfbd51ac935c"
FUTURE = "what only a later release knows"
MAPPINGS = {"only", "detail"}
"""Objects whose names are data."""
REFUSED = "It was asked for with another version of the bot. Please ask for it again."


def later(value: Any) -> Any:
    """The value as a later release may write it: with one more field in each object."""
    if isinstance(value, list):
        return [later(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = {name: one if name in MAPPINGS else later(one) for name, one in value.items()}
    return {**fields, "novelty": FUTURE}


def later_text(text: str) -> str:
    return json.dumps(later(json.loads(text))) if text.startswith(("{", "[")) else text


async def write(redis: Redis, release: int | str, *, novel: bool = False) -> None:
    """Put the samples where they were written."""
    for key, value in json.loads((SAMPLES / f"{release}.json").read_text()).items():
        match value:
            case str():
                await redis.set(key, later_text(value) if novel else value)
            case {"set": members}:
                await redis.sadd(key, *members)
            case {"zset": members}:
                await redis.zadd(key, members)
            case {"list": members}:
                await redis.rpush(key, *map(later_text, members) if novel else members)
            case dict() if novel and not key.startswith("manhwa:bot:inbox"):
                extra = {"novelty": json.dumps(FUTURE)} if "files" not in key else {}
                fields = {
                    name: text if key.endswith("preferences:42") else later_text(text) for name, text in value.items()
                }
                await redis.hset(key, mapping=fields | extra)
            case _:
                await redis.hset(key, mapping=value)


@pytest.mark.parametrize("novel", [False, True])
@pytest.mark.parametrize("release", range(1, VERSION + 1))
async def test_jobs_of_every_release_are_read(redis: Redis, release: int, novel: bool) -> None:
    await write(redis, release, novel=novel)
    store = JobStore(redis)
    jobs = [await store.read(job_id) for job_id in (QUEUED, AT_WORK, READY, FAILED)]
    assert [job and job.state for job in jobs] == ["queued", "downloading", "ready", "failed"]
    queued, at_work, ready, failed = jobs
    assert queued
    assert at_work
    assert ready
    assert failed
    request = queued.request
    assert [(c.id, c.number, c.groups) for c in request.chapters] == [
        ("7-1/c1", "1", ("Lantern Scans",)),
        ("7-2/c2", "2.5", ()),
    ]
    assert (request.format, request.quality, request.split) == (ArchiveFormat.CBZ, Quality.SMALLER, Split.VOLUME)
    assert (request.only, request.sliced, request.part_limit) == ({"7-2/c2": (3, 4)}, True, 49_000_000)
    assert (at_work.progress.pages_done, at_work.progress.resumed_at, at_work.requester) == (9, 3, "telegram:42")
    assert ready.result
    assert [(file.name, file.pages) for file in ready.result.files] == [("Harbour Lights - 1, 2.5.cbz", 19)]
    assert ready.result.missing[0].failure.code == "page_gone"
    assert failed.error
    assert failed.error.detail["cause"] == "source_down"
    lease, _ = await store.take_lease(QUEUED)
    assert lease
    assert [*await store.line()] == []


@pytest.mark.parametrize("novel", [False, True])
@pytest.mark.parametrize("release", range(1, VERSION + 1))
async def test_what_the_bot_of_any_release_remembered_is_read(redis: Redis, release: int, novel: bool) -> None:
    await write(redis, release, novel=novel)
    watcher = await Watchers(redis).get(f"{READY}:{GROUP}")
    assert watcher
    assert (watcher.user_name, watcher.language, watcher.message_id, watcher.joined) == (
        "Mina",
        "ko",
        72,
        {42: "Mina", 43: "Junho"},
    )
    assert (watcher.sent, watcher.handed_over, watcher.unsure) == (1, True, (1,))
    menus = Menus(redis)
    picker, results = await menus.get("picker-1", Picker), await menus.get("results-1", Results)
    assert picker
    assert results
    assert picker.destination == Destination(chat_id=GROUP, thread_id=2, asked_in=71)
    assert results.mangas[0].rating is Rating.SAFE
    shared = Shared(redis)
    file, errand = await shared.file("file-1"), await shared.errand("errand-1")
    assert file
    assert errand
    assert file.file_id == "BQAC-1"
    assert errand.manga == await shared.title("cecf7bf20966cfbd51ac935c") == results.mangas[0]
    assert await shared.selection("88f3616d08096299eb70af9e")
    assert [one.title for one in await History(redis).of(42, 9)] == ["Harbour Lights"]
    assert await BoardMemory(redis).get((GROUP, 2)) == Board(language="ko", message_id=80, shown="cd34")
    assert (await Chosen(redis).of(42)).format is ArchiveFormat.EPUB
    assert await Found(redis).get("mangapill", "harbour") == results.mangas
    await Processes(redis).enter("one")
    assert [one.update_id for one in await Updates(redis).begin_anew("one", ())] == [900]


@pytest.mark.parametrize("novel", [False, True])
@pytest.mark.parametrize("release", range(1, TITLES_VERSION + 1))
async def test_what_any_release_wrote_of_followed_titles_is_read(redis: Redis, release: int, novel: bool) -> None:
    await write(redis, f"titles-{release}", novel=novel)
    titles, follows = TitleStore(redis), Follows(redis)
    title, follow = await titles.read(TITLE), await follows.get(GROUP, TITLE)
    assert title
    assert follow
    assert title.manga == follow.manga
    assert (title.manga.key, title.mark, title.looked_at, title.failures, title.trouble) == (
        TITLE,
        "2025-11-24T10:00:00+00:00",
        1764000300.5,
        2,
        "source_down",
    )
    assert (follow.destination, follow.language, follow.group, follow.format, follow.way, follow.paused) == (
        Destination(chat_id=GROUP, thread_id=2),
        "en",
        "Lantern Scans",
        ArchiveFormat.EPUB,
        Way.NOTICE,
        True,
    )
    assert [one.manga for one in await follows.of(GROUP)] == [title.manga]
    pending = await titles.pending(TITLE, str(GROUP))
    assert pending
    assert (pending.told, pending.news) == (1, 2)
    assert [(one.found_at, one.chapters[0].number) for one in pending.items.values()] == [(1764000000.25, "3")]
    assert await titles.to_tell(2e9, 9) == [(TITLE, str(GROUP))]
    assert await titles.take("mangapill", 2e9, 3e9, 9, 2e9) == [TITLE]
    chapters = [Chapter(id=f"7-{n}/c{n}", number=n, language="en") for n in ("1", "2.5", "3", "4")]
    assert await titles.found(TITLE, chapters, "", 2e9, 3e9) == 1


@pytest.mark.parametrize("fields", [{"manga": "{}"}, {"manga": "?"}, {"failures": "some"}])
async def test_a_followed_title_that_is_not_understood_counts_as_not_there(
    redis: Redis, fields: dict[Any, Any]
) -> None:
    await write(redis, "titles-1")
    await redis.hset(f"manhwa:title:{TITLE}", mapping=fields)
    await redis.hset(f"manhwa:bot:follow:{GROUP}:{TITLE}", "way", '"pigeon"')
    assert await TitleStore(redis).read(TITLE) is None
    assert await Follows(redis).get(GROUP, TITLE) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"version": VERSION + 1},
        {"version": 0},
        {"version": "?"},
        {"state": "translating"},
        {"request": "{}"},
        {"progress": "{"},
    ],
)
async def test_a_job_that_is_not_understood_is_refused_once(
    redis: Redis, settings: BotSettings, fields: dict[Any, Any]
) -> None:
    await write(redis, 1)
    await redis.hset(f"manhwa:job:{READY}", mapping=fields)
    store = JobStore(redis)
    with pytest.raises(OtherVersion):
        await store.read(READY)
    assert await store.read_if_possible(READY) is None
    folder = Workspace(settings).folder(READY)
    folder.path.mkdir(parents=True)
    assert not await janitor.remove_if_stale(READY, store, open_storage(settings))
    await store.cancel(READY, "nobody")
    assert await janitor.remove_if_stale(READY, store, open_storage(settings)) == (fields.get("state") is None)


async def test_what_can_not_be_read_counts_as_not_there(redis: Redis) -> None:
    await write(redis, 1)
    for key in ("menu:picker-1", "errand:errand-1", "title:cecf7bf20966cfbd51ac935c"):
        await redis.set(f"manhwa:bot:{key}", '{"kind": "picker", "manga": 7}')
    await redis.hset("manhwa:bot:preferences:42", "format", '"scroll"')
    await redis.hset("manhwa:bot:inbox", "901", '{"message": "what?"}')
    assert await Menus(redis).get("picker-1", Picker) is None
    assert await Shared(redis).errand("errand-1") is None
    assert await Shared(redis).title("cecf7bf20966cfbd51ac935c") is None
    chosen = await Chosen(redis).of(42)
    assert (chosen.format, chosen.quality) == (None, Quality.WEBP)
    await Processes(redis).enter("one")
    assert [one.update_id for one in await Updates(redis).begin_anew("one", ())] == [900]
    assert [one.update_id for one in await Updates(redis).begin_anew("one", ())] == [900]
    assert await redis.hkeys("manhwa:bot:inbox") == ["900"]


@pytest.mark.usefixtures("worker")
async def test_a_person_is_told_and_others_are_served(mina: Person, redis: Redis, bot_settings: BotSettings) -> None:
    """A worker meets a record of a later release, the follower another one, and a watcher that makes no sense."""
    await write(redis, 1)
    await redis.delete("manhwa:bot:watchers", "manhwa:bot:inbox")
    await redis.srem("manhwa:jobs:open", AT_WORK)
    await redis.hset(f"manhwa:job:{QUEUED}", "version", str(VERSION + 1))
    await redis.hset(f"manhwa:job:{FAILED}", "state", "translating")
    for job_id, sent in ((FAILED, "0"), (READY, "half of it")):
        key = f"{job_id}:{mina.who}"
        fields: dict[Any, Any] = {"job_id": job_id, "chat_id": mina.who, "user_id": mina.who, "sent": sent}
        await redis.hset(f"manhwa:bot:watcher:{key}", mapping=fields)
        await redis.sadd("manhwa:bot:watchers", key)
        await redis.zadd(f"manhwa:bot:watchers-of:{mina.who}", {key: 1})
    async with running_bot(bot_settings):
        await mina.sees(REFUSED)
        async with asyncio.timeout(30):
            async for event in JobStore(redis).events("0-0"):
                if (event.job_id, event.state) == (QUEUED, "failed"):
                    break
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        await mina.sees("Done")
        asked = await mina.sends("/jobs")
        await mina.sees("You have no downloads running", after=asked)
        assert len([message for message in await mina.messages() if REFUSED in message.get("text", "")]) == 2
    assert json.loads(await redis.hget(f"manhwa:job:{QUEUED}", "error") or "")["code"] == OtherVersion.code
    assert await redis.smembers("manhwa:bot:watchers") == set()
