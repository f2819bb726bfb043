"""The demo library under the contract of all sources."""

import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from bot.settings import BotSettings
from tasks.sources.demo import Demo
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tests.tasks.sources.contract import Known, SourceContract


class TestDemo(SourceContract):
    name = "demo"
    known = Known(
        query="lantern cat",
        manga_id="lantern",
        title="The Lantern Keeper's Cat",
        chapters=tuple((n, f"lantern-{n}") for n in ("1", "2", "2.5", *map(str, range(3, 12)))),
    )

    @pytest.fixture
    async def source(self) -> AsyncIterator[Source]:
        async with open_sources(BotSettings(_env_file=None, mangadex_api_url="")) as sources:
            yield sources.get("demo")

    async def test_a_page_is_drawn_the_same_every_time(self, source: Source) -> None:
        page = (await source.pages("lantern-1"))[0]
        first, second = [b"".join([chunk async for chunk in source.read(page)]) for _ in range(2)]
        assert first == second

    async def test_every_page_of_every_story_can_be_drawn_and_one_story_is_a_long_strip(self) -> None:
        demo, tallest = Demo(), 0
        for manga in (await demo.search("demo")).mangas:
            for chapter in (await demo.details(manga.id)).chapters[:1]:
                for page in await demo.pages(chapter.id):
                    picture = b"".join([chunk async for chunk in demo.read(page)])
                    with Image.open(io.BytesIO(picture)) as opened:
                        tallest = max(tallest, opened.height // opened.width)
        assert tallest >= 3
