"""The demo library: short stories of our own, drawn on demand, so that the product works with no network."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from decimal import Decimal

from tasks.errors import NoPages, NotFound, PageGone
from tasks.models import NO_FILTERS, Chapter, Filters, Listing, Manga, MangaDetails, Page, Quality, Rating, SearchPage
from tasks.sources.demo_stories import STORIES, Story, StoryChapter
from tasks.sources.source import Expect, nothing

CHUNK = 64 * 1024
SCHEME = "demo:"
ELSEWHERE = "https://example.org/post-for-the-hills/6"
"""Where a chapter would be that the library only links to; nobody is there."""
ADDRESS = re.compile(rf"{SCHEME}(?P<story>\w+)/(?P<place>[0-9]{{1,3}})/(?P<page>[0-9]{{1,3}})")


class Demo:
    """Ids are `<story>` and `<story>-<number><edition>`; page addresses `demo:<story>/<place of chapter>/<page>`."""

    number = 30
    has_smaller = False
    at_once = 0
    is_local = True
    name = "demo"

    async def search(self, query: str, page: int = 1, filters: Filters = NO_FILTERS, /) -> SearchPage:
        words = query.casefold().split()
        found = [story for story in STORIES if words and all(word in _searchable(story) for word in words)]
        return SearchPage(mangas=tuple(filter(filters.fit, map(_manga, found))) if page == 1 else ())

    async def details(self, manga_id: str) -> MangaDetails:
        story = next((story for story in STORIES if story.id == manga_id), None)
        if story is None:
            raise NotFound(source=self.name)
        in_order = sorted(_chapters(story), key=lambda chapter: Decimal(chapter.number or 0))
        return MangaDetails(manga=_manga(story), chapters=tuple(in_order))

    async def marks(self, _manga_ids: Sequence[str], /) -> Mapping[str, str]:
        return {}

    async def look(self, manga_id: str, _mark: str = "", /) -> Listing:
        return Listing(chapters=(await self.details(manga_id)).chapters)

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        found = [self._find(chapter_id) for chapter_id in chapter_ids]
        return MangaDetails(
            manga=_manga(found[0][0]), chapters=tuple(_chapters(story)[place] for story, place in found)
        )

    async def pages(self, chapter_id: str, _quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        story, place = self._find(chapter_id)
        if not story.chapters[place].lines:
            raise NoPages(source=self.name)
        return tuple(Page(address=f"{SCHEME}{story.id}/{place}/{n}") for n in range(1, story.pages + 1))

    async def read(self, page: Page, _expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        from tasks.sources.demo_pages import draw  # noqa: PLC0415 - a megabyte and a half of a worker's memory

        story, place, number = self._find_page(page.address)
        picture = await asyncio.to_thread(draw, story, place, number)
        for start in range(0, len(picture), CHUNK):
            yield picture[start : start + CHUNK]

    def linked(self, address: str) -> None:
        """It has no site."""

    async def check(self) -> None:
        """Always there."""

    def _find_page(self, address: str) -> tuple[Story, int, int]:
        asked = ADDRESS.fullmatch(address)
        for story in STORIES:
            if asked and asked["story"] == story.id:
                place, number = int(asked["place"]), int(asked["page"])
                if place < len(story.chapters) and 1 <= number <= story.pages:
                    return story, place, number
        raise PageGone(source=self.name)

    def _find(self, chapter_id: str) -> tuple[Story, int]:
        for story in STORIES:
            for place, chapter in enumerate(story.chapters):
                if chapter_id == _id(story, chapter):
                    return story, place
        raise NotFound(source=self.name)


def _searchable(story: Story) -> str:
    return f"{story.title} {story.description} demo".casefold()


def _manga(story: Story) -> Manga:
    return Manga(
        source=Demo.name,
        id=story.id,
        title=story.title,
        authors=("Manhwa Downloader contributors",),
        description=story.description,
        year=story.year,
        status=story.status,
        languages=tuple(sorted({chapter.language for chapter in story.chapters})),
        rating=Rating.SAFE,
    )


def _id(story: Story, chapter: StoryChapter) -> str:
    return f"{story.id}-{chapter.number}{chapter.edition}"


def _chapters(story: Story) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(
            id=_id(story, one),
            number=one.number,
            title=one.title,
            language=one.language,
            groups=(one.group,),
            available=bool(one.lines),
            url=None if one.lines else ELSEWHERE,
        )
        for one in story.chapters
    )
