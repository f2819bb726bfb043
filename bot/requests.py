"""Makes the requests that people, and programs over the web API, have in mind."""

from collections.abc import Sequence

from bot.memory.preferences import Preferences
from bot.settings import BotSettings
from tasks.errors import NotFound, TooManyChapters
from tasks.models import (
    DEFAULT_WIDTH,
    LONGEST_ID,
    ArchiveFormat,
    Chapter,
    DownloadRequest,
    Manga,
    MangaDetails,
    Quality,
    Split,
)
from tasks.sources.registry import Sources

FOLLOWING = "following"
"""Who asks for new chapters of followed titles; no person's quota is spent on them."""
RIGHT_TO_LEFT = "ja"
"""The language whose comics are read so."""


def request_for(
    manga: Manga, chapters: Sequence[Chapter], preferences: Preferences, settings: BotSettings
) -> DownloadRequest:
    """A request for these chapters, in the form that was chosen."""
    quality = preferences.quality or Quality.ORIGINAL
    return DownloadRequest(
        source=manga.source,
        title=manga.title,
        manga_id=manga.id,
        chapters=tuple(chapters),
        format=preferences.format or ArchiveFormat.ZIP,
        quality=quality,
        width=DEFAULT_WIDTH if quality is Quality.ORIGINAL else preferences.width or DEFAULT_WIDTH,
        split=preferences.split or Split.ALL,
        sliced=preferences.sliced or False,
        right_to_left=manga.original_language == RIGHT_TO_LEFT if manga.original_language else None,
        url=manga.url,
        part_limit=settings.part_limit,
    )


async def locate(source_name: str, ids: Sequence[str], sources: Sources, settings: BotSettings) -> MangaDetails:
    """The chapters with these ids, as many as fit into a job. Raises `RequestError` and `SourceError`."""
    source = sources.get(source_name)
    unique = list(dict.fromkeys(ids))
    # Before the source is asked for each of them.
    if len(unique) > settings.max_chapters_per_job:
        raise TooManyChapters(asked=len(unique), limit=settings.max_chapters_per_job)
    if any(len(one) > LONGEST_ID for one in unique):
        raise NotFound(source=source.name)
    return await source.locate(unique)
