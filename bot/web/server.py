"""The web server: routes, and what holds for all of them."""

import asyncio
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.meters import Meters
from bot.settings import BotSettings
from bot.web import catalogue, docs, downloads, files, health, metrics
from bot.web.answers import SAFE, Refused, refusal
from bot.web.door import Door
from bot.web.reading import LARGEST_BODY, MOST_FIELDS
from bot.web.routes import Asked, Rooms, Route
from tasks.settings import SettingsError

log = logging.getLogger(__name__)
quiet = logging.getLogger(f"{__name__}.http")
quiet.setLevel(logging.CRITICAL)
"""aiohttp's own words, which are errors with a traceback for each stranger that speaks no HTTP; ours are in `log`."""

IDLE_SECONDS = 20
"""A connection is closed that brings no whole request for so long."""
ANSWER_SECONDS = 60.0
"""A search waits for slow sources for most of that."""
GOODBYE_SECONDS = 5.0
"""Requests that run when the bot is told to stop have so long to end."""
MOST_FILES = 16_384
"""Open files a process may have, connections among them, where the system lets us choose."""
MOST_AT_ONCE = 200
"""Requests that are worked at together; more are asked to come later."""
INTERNAL = Refused(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong here. It is in the service's log."
)
TOO_SLOW = Refused(
    HTTPStatus.SERVICE_UNAVAILABLE, "too_slow", "It took too long. Ask again in a moment.", {"Retry-After": "10"}
)
BUSY = Refused(
    HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many requests at once. Try again in a moment.", {"Retry-After": "2"}
)
LOST = Refused(HTTPStatus.BAD_REQUEST, "lost", "The connection was lost.")
"""Nobody hears it: it is for the figures."""
NO_SUCH_EXPECTATION = Refused(HTTPStatus.BAD_REQUEST, "bad_request", "Nothing but 100-continue can be expected.")
NO_HTTP = Refused(HTTPStatus.BAD_REQUEST, "bad_request", "That is no HTTP request that can be read.")

ROUTES: tuple[Route, ...] = (*downloads.ROUTES, *files.ROUTES, *catalogue.ROUTES, *health.ROUTES, *metrics.ROUTES)


@contextmanager
def bound(settings: BotSettings) -> Iterator[socket.socket]:
    """The socket for the web API's address, which nobody else has then. Raises `SettingsError` where somebody has."""
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            raise SettingsError(f"API_PORT is {port}: {host} can't be listened at there ({error.strerror})") from None
        yield taken


@asynccontextmanager
async def open_web(rooms: Rooms, taken: socket.socket, further: Sequence[Route] = ()) -> AsyncIterator[str]:
    """Serve at that socket while the block lasts; the address where. `further` routes stand in no document."""
    app = web.Application(
        middlewares=[_manners(rooms.meters)], client_max_size=LARGEST_BODY, client_max_fields=MOST_FIELDS
    )
    for route in (*ROUTES, *docs.routes(ROUTES), *further):
        app.router.add_route(route.method, route.path, _handler(route, rooms))
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, _handler(route, rooms))
    _allow_many_connections()
    runner = web.AppRunner(app, shutdown_timeout=GOODBYE_SECONDS)
    await runner.setup()
    try:
        with closing(await _listen(runner, taken)):
            host, port = taken.getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            log.info("the web API is at %s/api/docs", url)
            yield url
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, taken: socket.socket) -> asyncio.Server:
    """What aiohttp's own site does, with connections of ours."""
    loop, server = asyncio.get_running_loop(), cast("web.Server", runner.server)
    return await loop.create_server(
        lambda: _Connection(server, loop=loop, logger=quiet, access_log=quiet, keepalive_timeout=IDLE_SECONDS),
        sock=taken,
    )


class _Connection(web.RequestHandler):
    """A connection that is told in our words as well what is wrong before a request comes to a route."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)
        response = (INTERNAL if status >= HTTPStatus.INTERNAL_SERVER_ERROR else NO_HTTP).answer()
        response.headers.update(SAFE)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = NO_SUCH_EXPECTATION.answer()
            resp.headers.update(SAFE)
        return await super().finish_response(request, resp, start_time)


def _allow_many_connections() -> None:
    """Strangers' connections must not use up the files that Redis and Telegram are spoken to by."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < MOST_FILES and (most == resource.RLIM_INFINITY or most >= MOST_FILES):
        resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, most))


def _handler(route: Route, rooms: Rooms) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        who = await _who(route, request, rooms.door)
        try:
            async with asyncio.timeout(None if route.has_time else ANSWER_SECONDS):
                return await route.handler(Asked(request, rooms, who))
        except TimeoutError:
            raise TOO_SLOW from None

    return handle


async def _who(route: Route, request: web.Request, door: Door) -> str:
    """Who asks; empty where anybody may. Raises `Refused`."""
    if route.is_open:
        door.let_look(request)
    return "" if route.is_open or route.guards_itself else await door.let_in(request)


def _manners(meters: Meters) -> Middleware:
    """Every request ends with an answer of ours, and not too many run at once."""
    running = 0

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal running
        running += 1
        started = time.monotonic()
        try:
            response = await _answer(request, handler) if running <= MOST_AT_ONCE else BUSY.answer()
        finally:
            running -= 1
        meters.answered(_route(request), response.status, time.monotonic() - started)
        if not response.prepared:
            response.headers.update(SAFE)
        return response

    return serve


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:
        if (response := refusal(error)) is not None:
            return response
        if isinstance(error, ConnectionError) and request.transport is None:
            log.info("%s %s: who asked has left", request.method, _route(request))
            return LOST.answer()
        log.exception("%s %s failed", request.method, _route(request))
        return INTERNAL.answer()


def _route(request: web.Request) -> str:
    """The path as the route has it: what stands in the places of its names may be secret, or anything."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"
