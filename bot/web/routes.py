"""What a route is. The server is made of these, and so is the OpenAPI document: neither can say what the other does not do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel

from bot.delivery.pickup import Pickup
from bot.memory.fetches import Fetches
from bot.memory.found import Found
from bot.meters import Meters
from bot.settings import BotSettings
from bot.vitals import Doctor
from bot.web.door import Door
from tasks.jobs.store import JobStore
from tasks.sources.registry import Sources
from tasks.storage import Storage
from tasks.titles.store import TitleStore


@dataclass(frozen=True)
class Rooms:
    """What the web API works with."""

    settings: BotSettings
    door: Door
    sources: Sources
    found: Found
    store: JobStore
    titles: TitleStore
    pickup: Pickup
    fetches: Fetches
    storage: Storage
    doctor: Doctor
    meters: Meters
    fetching: asyncio.Semaphore
    """Free places for those who fetch files."""


@dataclass(frozen=True)
class Asked:
    """A request that was let in; `who` asks, as the requester of jobs (empty where anybody may)."""

    http: web.Request
    rooms: Rooms
    who: str


Handler = Callable[[Asked], Awaitable[web.StreamResponse]]
Content = type[BaseModel] | tuple[str, ...]
"""A model, which goes out as JSON, or the types that other content may have."""


@dataclass(frozen=True)
class Route:
    """One way in. `answers` are what it answers when all is well, `problems` the statuses of what it answers otherwise.

    `query` and `body` are what it reads; a body may come as JSON, as a form or in the query. An `open` one is for those as well
    who don't have the token, where there is one; one that `guards_itself` looks by itself at who may come in.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answers: Mapping[int, Content]
    problems: tuple[int, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    is_open: bool = False
    guards_itself: bool = False
    has_time: bool = False
    """It may take as long as whoever asks takes for it."""
    leads_to: tuple[str, ...] = ()
    """Names of the handlers that take the `task_id` of its answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of a request that it heeds, with what they mean."""

    @property
    def all_problems(self) -> tuple[int, ...]:
        """Every status of an answer that is none of `answers`."""
        reads = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) if self.query or self.body else ()
        asked = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE,) if self.body else ()
        guarded: tuple[int, ...] = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
        if self.is_open:
            guarded = (HTTPStatus.UNAUTHORIZED,)
        elif self.guards_itself:
            guarded = ()
        busy = (HTTPStatus.SERVICE_UNAVAILABLE,)
        return tuple(sorted({*self.problems, *reads, *asked, *guarded, *busy} - set(self.answers)))
