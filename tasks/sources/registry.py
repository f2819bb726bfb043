"""Which sources there are, by number and name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tasks.errors import UnknownSource
from tasks.models import Link
from tasks.resources import open_web
from tasks.settings import TaskSettings
from tasks.sources.consumet import PROVIDERS, Consumet
from tasks.sources.demo import Demo
from tasks.sources.http import SourceHttp
from tasks.sources.library import Library
from tasks.sources.source import Source


class Sources:
    """The sources of one process."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sorted(sources, key=lambda source: source.number)

    def all(self) -> list[Source]:
        """Every source, by number."""
        return list(self._sources)

    def get(self, number_or_name: str) -> Source:
        """The source a person means. Raises `UnknownSource`."""
        wanted = number_or_name.strip().lower()
        for source in self._sources:
            if wanted in {source.name, str(source.number)}:
                return source
        raise UnknownSource(source=number_or_name[:60])

    def linked(self, address: str) -> Link | None:
        """What an address leads to; None where no source has such a site."""
        return next((found for source in self._sources if (found := source.linked(address))), None)


@asynccontextmanager
async def open_sources(settings: TaskSettings) -> AsyncIterator[Sources]:
    """The sources that the settings switch on; the demo library where that is none."""
    async with open_web(settings.mangapi_url) as web:
        found: list[Source] = []
        if settings.mangapi_url:
            found += [
                Consumet(SourceHttp(web, provider.name), settings.mangapi_url, provider)
                for provider in PROVIDERS
                if provider.segment in settings.consumet_providers
            ]
        if settings.library_dir:
            found.append(Library(settings.library_dir))
        yield Sources(found or [Demo()])
