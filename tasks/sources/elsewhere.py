"""Which other source has the chapters that one did not give."""

import asyncio
import unicodedata
from collections.abc import Sequence

from tasks.errors import SourceError
from tasks.models import Chapter, Manga, MangaDetails
from tasks.sources.source import Source

PATIENCE_SECONDS = 40.0


async def find_elsewhere(others: Sequence[Source], title: str, chapters: Sequence[Chapter]) -> MangaDetails | None:
    """The manga of that title with all its chapters, from the source that has most of these; None where none has any.

    Chapters are the same where number and language are.
    """
    asked = await asyncio.gather(*(_ask(source, title) for source in others))
    found = [details for details in asked if details and same_chapters(details.chapters, chapters)]
    return max(found, key=lambda details: len(same_chapters(details.chapters, chapters)), default=None)


async def _ask(source: Source, title: str) -> MangaDetails | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            mangas = (await source.search(title)).mangas
            manga = next((one for one in mangas if is_titled(one, title)), None)
            return await source.details(manga.id) if manga else None
    except (SourceError, TimeoutError):
        return None


def is_titled(manga: Manga, title: str) -> bool:
    """Whether that is one of its titles, but for case, signs and spaces."""
    return _bare(title) in {_bare(one) for one in (manga.title, *manga.alt_titles)}


def same_chapters(chapters: Sequence[Chapter], wanted: Sequence[Chapter]) -> list[Chapter]:
    """Those of the chapters that can be had and are among the wanted ones: one for each, in their order."""
    found: dict[str, Chapter] = {}
    for one in chapters:
        if one.number and one.available and any(_same(one, other) for other in wanted):
            found.setdefault(one.number, one)
    return list(found.values())


def _same(one: Chapter, other: Chapter) -> bool:
    languages = {one.language, other.language} - {None}
    return one.number == other.number and len(languages) < 2


def _bare(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in folded if c.isalnum())
