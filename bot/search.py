"""Asks sources for titles."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bot import search_words
from bot.memory.found import Found
from tasks.errors import SourceDown, SourceError
from tasks.models import Manga
from tasks.sources.source import Source

SEARCH_SECONDS = 40.0
"""A source that takes longer counts as silent."""


class Search:
    """Asks sources, or remembers what they said a moment ago."""

    def __init__(self, sources: list[Source], found: Found) -> None:
        self.sources = sources
        self._found = found

    async def answers(self, query: str) -> AsyncGenerator[tuple[Source, tuple[Manga, ...] | SourceError]]:
        """Each source with what it found, or why it gave no answer, as they come."""
        asking = [asyncio.create_task(self._ask(source, query)) for source in self.sources]
        try:
            for answered in asyncio.as_completed(asking):
                yield await answered
        finally:
            for one in asking:
                one.cancel()

    async def all(self, query: str) -> list[Manga]:
        """What all sources together find."""
        async with aclosing(self.answers(query)) as answers:
            return [manga async for _, found in answers if not isinstance(found, SourceError) for manga in found]

    async def _ask(self, source: Source, query: str) -> tuple[Source, tuple[Manga, ...] | SourceError]:
        if (known := await self._found.get(source.name, query)) is not None:
            return source, known
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                title, filters = search_words.parse(query)
                mangas = (await source.search(title, 1, filters)).mangas
        except search_words.UnknownFilter:
            return source, ()
        except SourceError as error:
            return source, error
        except TimeoutError:
            return source, SourceDown(source=source.name)
        await self._found.keep(source.name, query, mangas)
        return source, mangas
