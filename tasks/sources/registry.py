"""Which sources there are, by number and name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from tasks.errors import UnknownSource
from tasks.models import Link
from tasks.resources import Web, open_web
from tasks.settings import TaskSettings
from tasks.sources.consumet import PROVIDERS, Consumet, Provider
from tasks.sources.demo import Demo
from tasks.sources.health import Health, Report, Watched
from tasks.sources.http import SourceHttp
from tasks.sources.library import Library
from tasks.sources.mangadex import MangaDex, open_mangadex
from tasks.sources.mangadex_account import Account
from tasks.sources.opds import FIRST_NUMBER, Opds
from tasks.sources.pace import Pace
from tasks.sources.source import Source


class Sources:
    """The sources of one process."""

    def __init__(self, sources: Sequence[Source], health: Health | None = None) -> None:
        self._sources = sorted(sources, key=lambda source: source.number)
        self._health = health

    async def report(self, source: Source) -> Report:
        """How the source does, from what it was really asked lately."""
        return await self._health.report(source.name) if self._health else Report()

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
async def open_sources(settings: TaskSettings, redis: Redis | None = None) -> AsyncIterator[Sources]:
    """The sources that the settings switch on; the demo library as well where they name none.

    With Redis, all processes keep the sources' limits together and know how they do; without, each for itself.
    """
    addresses = [catalog.address.get_secret_value() for catalog in settings.opds_catalogs]
    pace = Pace(settings.source_rate_limit, redis)
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(open_web(settings.mangapi_url, settings.mangadex_api_url, *addresses))
        found: list[Source] = [*_consumet(settings, web, pace)]
        if api := settings.mangadex_api_url:
            http = SourceHttp(web, MangaDex.name, pace)
            account = Account(http, api, settings.mangadex_account)
            found.append(await stack.enter_async_context(open_mangadex(http, api, account)))
        if settings.library_dir:
            found.append(Library(settings.library_dir))
        for number, catalog in enumerate(settings.opds_catalogs, start=FIRST_NUMBER):
            found.append(Opds(SourceHttp(web, catalog.name, pace), catalog, number))
        if settings.names_no_source:
            found.append(Demo())
        health = Health(redis) if redis else None
        yield Sources([Watched(source, health) for source in found] if health else found, health)


def _consumet(settings: TaskSettings, web: Web, pace: Pace) -> list[Consumet]:
    wanted = set(settings.consumet_providers) if settings.mangapi_url else set()
    if settings.mangadex_api_url:
        wanted.discard(MangaDex.name)
    further = [one.split(":") for one in settings.consumet_providers if ":" in one and settings.mangapi_url]
    providers = [provider for provider in PROVIDERS if provider.segment in wanted]
    providers += [Provider(segment, int(number), segment) for segment, number in further]
    return [Consumet(SourceHttp(web, one.name, pace), settings.mangapi_url, one) for one in providers]
