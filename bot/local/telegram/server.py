"""The stand-in over HTTP: the Bot API at `/bot<token>/<method>`, the chat page at `/`, and the page's own `/chat/…`."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from bot.local.telegram.chat_api import ChatApi
from bot.local.telegram.errors import ApiError
from bot.local.telegram.faults import Fault, Faults
from bot.local.telegram.files import Files, StoredFile
from bot.local.telegram.methods import Methods, Params
from bot.local.telegram.world import World

log = logging.getLogger(__name__)

STAND_IN_TOKEN = "1000001:local-stand-in-for-telegram"  # noqa: S105 - known to everybody, as it opens nothing
SAVE_SECONDS = 1.0
ATTACHED = re.compile(r"^attach://(.+)$")


@dataclass
class StandIn:
    """A running stand-in; tests look into it."""

    url: str
    world: World
    methods: Methods
    files: Files
    faults: Faults
    token: str = STAND_IN_TOKEN


class BotApi:
    """Takes calls of the bot from HTTP to `Methods` and back."""

    def __init__(self, world: World, methods: Methods, files: Files, faults: Faults) -> None:
        self._world = world
        self._methods = methods
        self._files = files
        self._faults = faults

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        if request.match_info["token"] != STAND_IN_TOKEN:
            return _refusal(ApiError(401, "Unauthorized"))
        try:
            fault = self._faults.next_for(name)
            # A body must be read to its end, or the sender sees a broken connection instead of the answer.
            params = Params() if fault and fault.unread else await self._params(request)
            if fault and not fault.do_it:
                return await _faulty(request, fault)
            if fault:
                await asyncio.sleep(fault.late)
            result = await self._methods.call(name, params)
        except ApiError as error:
            if error.breach:
                self._world.breaches.append(f"{name}: {error.description}")
            return _refusal(error)
        if fault and not fault.answer:
            return await _faulty(request, fault)
        if fault:
            await asyncio.sleep(fault.delay)
        return web.json_response({"ok": True, "result": result})

    async def download(self, request: web.Request) -> web.StreamResponse:
        stored = self._files.get(request.match_info["path"])
        if request.match_info["token"] != STAND_IN_TOKEN or stored is None or self._files.local:
            return _refusal(ApiError(404, "Not Found"))
        return web.FileResponse(self._files.path(stored.file_id))

    async def _params(self, request: web.Request) -> Params:
        params = Params({name: _decoded(name, value) for name, value in request.query.items()})
        if request.content_type == "application/json":
            params.update(await request.json())
        elif request.content_type.startswith("multipart/"):
            params.update(await self._multipart(request))
        else:
            form = await request.post()
            params.update({name: _decoded(name, value) for name, value in form.items() if isinstance(value, str)})
        return params

    async def _multipart(self, request: web.Request) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        uploads: dict[str, StoredFile] = {}
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            if part.filename is None:
                fields[part.name] = _decoded(part.name, await part.text())
            else:
                uploads[part.name] = await self._files.store(part)
        for name, value in fields.items():
            attached = ATTACHED.match(value) if isinstance(value, str) else None
            if attached:
                fields[name] = uploads.get(attached[1])
        return {**uploads, **fields}


def _decoded(name: str, value: str) -> Any:
    """Forms carry structures as JSON; texts stay what they are, even where they look like JSON."""
    if name in {"text", "caption", "parse_mode"} or not value.startswith(("{", "[")):
        return value
    with suppress(ValueError):
        return json.loads(value)
    return value


def _refusal(error: ApiError) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": error.code, "description": error.description}
    headers = {}
    if error.parameters:
        body["parameters"] = error.parameters
        if "retry_after" in error.parameters:
            headers["Retry-After"] = str(error.parameters["retry_after"])
    return web.json_response(body, status=error.code, headers=headers)


async def _faulty(request: web.Request, fault: Fault) -> web.StreamResponse:
    await asyncio.sleep(fault.delay)
    if fault.drop:
        if request.transport:
            request.transport.close()
        return web.Response()
    if fault.body is not None:
        return web.Response(status=fault.status, text=fault.body, content_type="text/html")
    return _refusal(ApiError(fault.status, fault.description, **fault.parameters))


@asynccontextmanager
async def serve(
    folder: Path | None = None, port: int = 0, local: Path | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[StandIn]:
    """A stand-in, on any free port for 0. With a folder it remembers its chats there.

    Whoever reaches it may speak as anybody, so it is on loopback unless told otherwise. With `local` it is a self-hosted
    server with `--local`, which reads files below that folder by itself.
    """
    files = Files(folder, local)
    world, faults = World(folder), Faults()
    methods = Methods(world, files)
    api = BotApi(world, methods, files, faults)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/bot{token}/{method}", api.handle)
    app.router.add_get("/file/bot{token}/{path}", api.download)
    ChatApi(world, methods, files, faults).add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    saving = asyncio.create_task(_save_often(world))
    try:
        _, bound = runner.addresses[0][:2]
        yield StandIn(f"http://{host}:{bound}", world, methods, files, faults)
    finally:
        saving.cancel()
        await methods.webhook.delete()
        await runner.cleanup()
        world.save()
        files.close()


async def _save_often(world: World) -> None:
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        world.save()
