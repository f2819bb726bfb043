"""Looks for new chapters, on a real Redis, at a folder and at servers in the places of real ones."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from bot.settings import BotSettings
from tasks import look as module
from tasks.errors import SourceDown, SourceFailed
from tasks.look import WHOLE_SECONDS, look
from tasks.models import Chapter, Listing, Manga
from tasks.sources.demo import Demo
from tasks.sources.registry import Sources
from tasks.titles.schedule import HOUR, LONGEST_PAUSE, interval, next_look
from tasks.titles.store import TitleStore
from tests.tasks.sources.test_library import archive, picture
from tests.tasks.sources.test_mangadex import Site, a_chapter, listing, uuid
from tests.web_server import Reply, WebServer, as_json

FOLLOWERS, TITLES = 1000, 200


@pytest.fixture
def titles(redis: Redis) -> TitleStore:
    return TitleStore(redis)


@pytest.fixture(scope="module")
def mangadex() -> Iterator[Site]:
    with Site() as site:
        yield site


async def all_due(redis: Redis) -> None:
    """As if the time for the next look at each title had come."""
    async for queue in redis.scan_iter("manhwa:titles:of:*"):
        keys = cast("list[str]", await redis.zrange(queue, 0, -1))
        await redis.zadd(queue, dict.fromkeys(keys, 0.0), xx=True)


async def follow_all(titles: TitleStore, mangas: list[Manga], chapters: list[Chapter]) -> None:
    """Each title has as many followers as any other."""
    for n in range(FOLLOWERS):
        await titles.follow(mangas[n % len(mangas)], str(n), chapters)


class TestLibrary:
    MANGA = Manga(source="library", id="Lantern Road", title="Lantern Road")

    @pytest.fixture
    def library(self, tmp_path: Path) -> Path:
        self.add(tmp_path, 1)
        return tmp_path

    def add(self, library: Path, number: int) -> None:
        os.utime(archive(library / self.MANGA.id / f"{number}.cbz", {"1.png": picture()}), (1e9, 1e9))

    @pytest.fixture
    def settings(self, settings: BotSettings, library: Path) -> BotSettings:
        return settings.model_copy(update={"library_dir": library})

    async def news(self, titles: TitleStore) -> list[str]:
        pending = await titles.pending(self.MANGA.key, "1")
        assert pending is not None
        return [one.chapters[0].label for one in pending.items.values()]

    async def test_what_is_new_is_found_once(
        self, titles: TitleStore, redis: Redis, settings: BotSettings, library: Path
    ) -> None:
        await titles.follow(self.MANGA, "1")
        assert await look(settings) == 0
        self.add(library, 2)
        assert await look(settings) == 0  # it is not due
        await all_due(redis)
        assert sum(await asyncio.gather(look(settings), look(settings))) == 1
        await all_due(redis)
        assert await look(settings) == 0
        assert await self.news(titles) == ["2"]

    async def test_a_look_that_was_killed_is_made_up_for(
        self, titles: TitleStore, redis: Redis, settings: BotSettings, library: Path
    ) -> None:
        await titles.follow(self.MANGA, "1", [Chapter(id="Lantern Road/1.cbz", number="1")])
        self.add(library, 2)
        taken = await titles.take("library", 4e9, 4e9, 10, 4e9)
        assert taken == [self.MANGA.key]
        assert await look(settings) == 0  # another one is at it, as far as anybody knows
        await all_due(redis)
        assert await look(settings) == 1

    async def test_what_went_wrong_is_told_and_tried_again(
        self, titles: TitleStore, redis: Redis, settings: BotSettings
    ) -> None:
        gone = Manga(source="library", id="No Such Title", title="No Such Title")
        await titles.follow(gone, "1")
        await titles.follow(self.MANGA, "1", [])
        assert await look(settings) == 1  # the one beside it is looked at all the same
        for failures in (1, 2):
            title = await titles.read(gone.key)
            assert title is not None
            assert (title.trouble, title.failures) == ("not_found", failures)
            await all_due(redis)
            await look(settings)


class TestMangaDex:
    @pytest.fixture
    def settings(self, settings: BotSettings, mangadex: Site) -> BotSettings:
        mangadex.reset()
        return settings.model_copy(update={"mangadex_api_url": mangadex.url})

    def answer(self, site: Site, newest: dict[str, int]) -> None:
        """The newest chapter of the manga of each id is of that number; all are named whatever the server is asked for."""
        told = [{"id": one, "attributes": {"latestUploadedChapter": uuid(last)}} for one, last in newest.items()]
        site.on("/manga", listing(told, limit=100))
        for one, last in newest.items():
            feed = [a_chapter(number, str(number)) for number in range(last, 0, -1)]
            site.on(f"/manga/{one}/feed", listing(feed))

    async def test_a_thousand_followers_of_two_hundred_titles_cost_two_requests(
        self, titles: TitleStore, redis: Redis, settings: BotSettings, mangadex: Site
    ) -> None:
        mangas = [Manga(source="mangadex", id=uuid(10_000 + n), title=f"T{n}") for n in range(TITLES)]
        newest = {manga.id: 1 for manga in mangas}
        self.answer(mangadex, newest)
        await follow_all(titles, mangas, [Chapter(id=uuid(1), number="1", language="en")])
        await look(settings)
        assert len(mangadex.requests) == 2 + TITLES  # the first time nothing is known of their state
        for _ in range(2):
            mangadex.requests.clear()
            await all_due(redis)
            assert await look(settings) == 0
            assert len(mangadex.requests) == 2
        changed = mangas[:7]
        mangadex.requests.clear()
        self.answer(mangadex, newest | {manga.id: 2 for manga in changed})
        await all_due(redis)
        assert await look(settings) == len(changed)
        assert len(mangadex.requests) == 2 + len(changed)
        assert len(await titles.to_tell(4e9, FOLLOWERS)) == len(changed) * FOLLOWERS // TITLES

    async def test_a_source_that_does_not_answer_is_left_alone(
        self, titles: TitleStore, redis: Redis, settings: BotSettings, mangadex: Site
    ) -> None:
        mangas = [Manga(source="mangadex", id=uuid(10_000 + n), title=f"T{n}") for n in range(TITLES)]
        for manga in mangas:
            await titles.follow(manga, "1", [])
        mangadex.otherwise = Reply(b"", status=429, headers={"Retry-After": "100"})
        assert await look(settings) == 0
        assert len(mangadex.requests) == 1
        await all_due(redis)
        assert await look(settings) == 0
        assert len(mangadex.requests) == 1  # it wants silence


class TestConsumet:
    @pytest.fixture
    def settings(self, settings: BotSettings, source_server: WebServer) -> BotSettings:
        source_server.reset()
        more = {"mangapi_url": source_server.url, "consumet_providers": ("mangapill",)}
        return settings.model_copy(update=more)

    async def test_a_thousand_followers_of_two_hundred_titles_cost_a_request_for_each_title(
        self, titles: TitleStore, redis: Redis, settings: BotSettings, source_server: WebServer
    ) -> None:
        source_server.otherwise = as_json({"id": "x", "title": "T", "chapters": [{"id": "c1", "chapter": "1"}]})
        mangas = [Manga(source="mangapill", id=f"{n}", title=f"T{n}") for n in range(TITLES)]
        await follow_all(titles, mangas, [Chapter(id="c1", number="1")])
        for _ in range(2):
            source_server.requests.clear()
            assert await look(settings) == 0
            assert len(source_server.requests) == TITLES
            await all_due(redis)

    async def test_a_round_ends_and_the_next_one_goes_on(
        self, titles: TitleStore, settings: BotSettings, source_server: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source_server.otherwise = as_json({"id": "x", "title": "T", "chapters": []})
        for n in range(10):
            await titles.follow(Manga(source="mangapill", id=f"{n}", title="T"), "1", [])
        monkeypatch.setattr(module, "ROUND_SECONDS", 1e-9)
        await look(settings)
        assert len(source_server.requests) == 0
        monkeypatch.undo()
        await look(settings)
        assert len(source_server.requests) == 10


class Shelf(Demo):
    """A source whose list of chapters never changes; it notes with which marks it was looked at, and fails when told."""

    is_local = False

    def __init__(self, name: str, at_once: int = 0) -> None:
        super().__init__()
        self.name = name
        self.at_once = at_once
        self.asked: list[str] = []
        self.trouble: Exception | None = None

    async def marks(self, _manga_ids: Sequence[str], /) -> Mapping[str, str]:
        if self.trouble:
            raise self.trouble
        return {}

    async def look(self, _manga_id: str, mark: str = "", /) -> Listing:
        self.asked.append(mark)
        if self.trouble:
            raise self.trouble
        return Listing(chapters=None) if mark else Listing(chapters=(Chapter(id="c1", number="1"),), mark="v1")

    @property
    def manga(self) -> Manga:
        return Manga(source=self.name, id="1", title="T")


class Clock:
    """A time that passes when it is told to, and a little whenever somebody looks."""

    def __init__(self) -> None:
        self.now = time.time() + 1
        self.monotonic = time.monotonic

    def time(self) -> float:
        self.now += 0.001
        return self.now


class TestRounds:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(module, "time", clock)
        return clock

    @pytest.fixture
    async def shelves(self, titles: TitleStore, monkeypatch: pytest.MonkeyPatch) -> tuple[Shelf, Shelf]:
        """One that tells of many titles at once, and one that does not; a title of each is followed."""
        many, one = Shelf("many", 100), Shelf("one")

        @asynccontextmanager
        async def opened(*_: object) -> AsyncIterator[Sources]:
            yield Sources([many, one])

        monkeypatch.setattr(module, "open_sources", opened)
        for shelf in (many, one):
            await titles.follow(shelf.manga, "1", [])
        return many, one

    async def test_a_title_has_its_turn_in_every_round_that_is_as_long_as_it_waits(
        self, settings: BotSettings, shelves: tuple[Shelf, Shelf], clock: Clock
    ) -> None:
        begun = clock.now
        for number in range(6):
            clock.now = begun + 60 * number
            await look(settings)
        # The place of a new one may be half a round from here.
        assert all(5 <= len(shelf.asked) <= 6 for shelf in shelves)

    async def test_once_a_day_a_source_is_not_told_what_it_said_before(
        self, settings: BotSettings, shelves: tuple[Shelf, Shelf], clock: Clock
    ) -> None:
        for wait in (WHOLE_SECONDS / 2, WHOLE_SECONDS / 2, WHOLE_SECONDS / 2, 0):
            await look(settings)
            clock.now += wait
        assert [shelf.asked for shelf in shelves] == [["", "v1", "", "v1"]] * 2

    async def test_what_nobody_thought_of_at_one_source_is_nothing_to_others(
        self, settings: BotSettings, titles: TitleStore, shelves: tuple[Shelf, Shelf]
    ) -> None:
        many, _ = shelves
        many.trouble = ValueError("no answer of ours")
        assert await look(settings) == 1
        assert await titles.looks() == {"many|failed": 1, "one|changed": 1}

    async def test_a_source_that_was_away_for_long_is_not_held_against_its_titles(
        self, settings: BotSettings, titles: TitleStore, redis: Redis, shelves: tuple[Shelf, Shelf], clock: Clock
    ) -> None:
        _, one = shelves
        for trouble in (*(SourceDown() for _ in range(10)), SourceFailed()):
            one.trouble = trouble
            await look(settings)
            clock.now += 100
        title = await titles.read(one.manga.key)
        assert title is not None
        assert (len(one.asked), title.failures, title.trouble) == (11, 1, "source_failed")
        due = await redis.zscore("manhwa:titles:of:one", one.manga.key)
        assert due is not None
        assert due - (clock.now - 100) < 3 * 60


class TestSchedule:
    def test_few_titles_are_looked_at_often_and_many_once_an_hour(self) -> None:
        assert interval(1, 60, 0) == 60
        assert interval(20, 60, 0) == 1200
        assert interval(10_000, 60, 0) == HOUR
        assert interval(200, 60, 100) == 120
        assert interval(5, 7200, 0) == 7200

    def test_titles_that_were_due_together_are_not_the_next_time(self) -> None:
        keys = [Manga(source="s", id=str(n), title="T").key for n in range(500)]
        due = sorted(next_look(key, 0, 100, -1e9) for key in keys)
        assert 50 <= due[0] < 60
        assert 140 < due[-1] <= 150
        assert max(later - sooner for sooner, later in pairwise(due)) < 3
        assert next_look(keys[0], 1000, 100, 900) == 1100

    def test_a_title_that_is_not_found_waits_longer_each_time(self) -> None:
        waits = [next_look("0" * 24, 0, 60, 0, failures) for failures in range(12)]
        assert waits[:3] == [60, 120, 240]
        assert waits[-1] == LONGEST_PAUSE == next_look("0" * 24, 0, 60, 0, 100_000)
