"""`/api/search`, `/api/chapters`, `/api/sources`: what there is, as in the chat."""

from collections.abc import Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import AliasChoices, ConfigDict, Field, StringConstraints

from bot import search_words
from bot.search import Search
from bot.standing import Standing, standings
from bot.web.answers import Refused, answer
from bot.web.downloads import SourceName
from bot.web.reading import read
from bot.web.routes import Asked, Route
from tasks.errors import SourceError, SourceRefuses
from tasks.models import Id, Manga, MangaDetails, Value
from tasks.sources.source import LONGEST_QUERY


class SearchAsked(Value):
    """A title, maybe with what narrows it (`lang:en status:completed`), and one source by number or name; without it all."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[
        str,
        StringConstraints(min_length=1, max_length=LONGEST_QUERY, strip_whitespace=True),
        Field(validation_alias=AliasChoices("query", "q", "title"), examples=["lantern"]),
    ]
    source: SourceName | None = None


class Found(Value):
    """What was found, the sources' answers behind each other; `silent` are the names of sources that gave none."""

    query: str
    results: tuple[Manga, ...]
    silent: tuple[str, ...]


class ChaptersAsked(Value):
    """A manga by its id, as /api/search tells it, and its source by number or name."""

    model_config = ConfigDict(extra="forbid")

    source: SourceName
    id: Annotated[
        Id,
        Field(
            description="the manga's id", validation_alias=AliasChoices("id", "manga_id", "manga"), examples=["lantern"]
        ),
    ]


class SourceStanding(Value):
    """A source: whether it is up and why not, and how it did lately. `seconds` is the median of its answers."""

    number: int
    name: str
    up: bool
    why: str
    requests: int
    answered: int
    seconds: float
    answered_at: float | None
    paused: int


class SourcesListed(Value):
    """Every source, by number."""

    sources: tuple[SourceStanding, ...]


async def search(asked: Asked) -> web.Response:
    wanted = await read(asked.http, SearchAsked)
    query = " ".join(wanted.query.split())
    _check(query)
    rooms = asked.rooms
    sources = [rooms.sources.get(wanted.source)] if wanted.source else rooms.sources.all()
    results: list[Manga] = []
    silent: dict[str, SourceError] = {}
    async with aclosing(Search(sources, rooms.found).answers(query)) as answers:
        async for source, found in answers:
            if isinstance(found, SourceError):
                silent[source.name] = found
            else:
                results += found
    if silent and len(silent) == len(sources):
        if all(isinstance(error, SourceRefuses) for error in silent.values()):
            raise next(iter(silent.values()))
        why = f"No source answered: {', '.join(sorted(silent))}. Try again later."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "source_down", why)
    return answer(Found(query=query, results=tuple(results), silent=tuple(sorted(silent))))


def _check(query: str) -> None:
    try:
        title, _ = search_words.parse(query)
    except search_words.UnknownFilter as error:
        raise _invalid(f"query: {error.word[:60]!r} is no filter.") from None
    if not title:
        raise _invalid("query: a title is missing.")


def _invalid(why: str) -> Refused:
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", why)


async def chapters(asked: Asked) -> web.Response:
    wanted = await read(asked.http, ChaptersAsked)
    return answer(await asked.rooms.sources.get(wanted.source).details(wanted.id))


async def sources(asked: Asked) -> web.Response:
    return answer(SourcesListed(sources=_told(await standings(asked.rooms.sources))))


def _told(found: Sequence[Standing]) -> tuple[SourceStanding, ...]:
    return tuple(
        SourceStanding(
            number=one.source.number,
            name=one.source.name,
            up=not one.trouble,
            why=one.trouble,
            requests=one.report.requests,
            answered=one.report.answered,
            seconds=one.report.seconds,
            answered_at=one.report.answered_at,
            paused=one.report.paused,
        )
        for one in found
    )


ROUTES = (
    Route(
        "GET",
        "/api/search",
        "Find manga by title",
        search,
        {HTTPStatus.OK: Found},
        (HTTPStatus.NOT_FOUND,),
        query=SearchAsked,
    ),
    Route(
        "GET",
        "/api/chapters",
        "A manga and its chapters in reading order",
        chapters,
        {HTTPStatus.OK: MangaDetails},
        (HTTPStatus.NOT_FOUND,),
        query=ChaptersAsked,
    ),
    Route("GET", "/api/sources", "The sources, up or down and why", sources, {HTTPStatus.OK: SourcesListed}),
)
