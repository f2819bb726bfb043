"""`WEBHOOK_URL`: where Telegram brings updates. It is told that one has arrived only when it is written down."""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.types import Update
from aiohttp import web
from pydantic import ValidationError

from bot.memory.processes import TakenForDead
from bot.settings import BotSettings
from bot.web.answers import Refused
from bot.web.reading import BODY_SECONDS, BROKEN
from bot.web.routes import Asked, Route

log = logging.getLogger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - its name
LARGEST_UPDATE = 1 << 20
"""Bytes: a message of the greatest length that answers another one is a fraction of it."""
PIECE = 1 << 16
WRITE_SECONDS = 10.0
"""Redis has so long to take an update; after that Telegram is to bring it again, to another process maybe."""
LARGEST_ID = 2**63


def route(settings: BotSettings, bot: Bot, take: Callable[[Update], Awaitable[None]]) -> Route:
    """The way in for Telegram alone; `take` returns when an update is safe, and raises redis errors."""
    secret = settings.webhook_secret.get_secret_value().encode()

    async def webhook(asked: Asked) -> web.Response:
        given = asked.http.headers.get(SECRET_HEADER, "").encode(errors="replace")
        if not hmac.compare_digest(given, secret):
            raise Refused(HTTPStatus.UNAUTHORIZED, "wrong_secret", "That is not the secret of this webhook.")
        update = _update(await _body(asked.http), bot)
        if update:
            await _write(take, update)
        return web.json_response({})

    path = urlsplit(settings.webhook_url).path or "/"
    return Route("POST", path, "Updates of Telegram", webhook, {}, guards_itself=True)


async def _write(take: Callable[[Update], Awaitable[None]], update: Update) -> None:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await take(update)
    except (TimeoutError, TakenForDead):
        why = "The update can't be written down right now. Bring it again."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "not_now", why, {"Retry-After": "5"}) from None


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            # Not `read`, whose limit is that of the API.
            async for piece in request.content.iter_chunked(PIECE):
                body += piece
                if len(body) > LARGEST_UPDATE:
                    raise web.HTTPRequestEntityTooLarge(LARGEST_UPDATE, len(body))
    except TimeoutError:
        raise _bad(f"The body did not come within {BODY_SECONDS:.0f} seconds.") from None
    except BROKEN:
        raise _bad("The body can't be read.") from None
    return bytes(body)


def _update(body: bytes, bot: Bot) -> Update | None:
    """The update; None = it is one of a kind that nothing is known of, which may come from a newer Telegram."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("The body is no JSON.") from None
    number = found.get("update_id") if isinstance(found, dict) else None
    if type(number) is not int or not 0 <= number < LARGEST_ID:
        raise _bad("The body is no update: it has no update_id.")
    try:
        update = Update.model_validate(found, context={"bot": bot})
    except ValidationError as error:
        # Refused, it would be brought again for a day, and all others of its chat would wait behind it.
        log.error("update %s can't be read: %s", number, error.errors(include_url=False, include_input=False)[0])  # noqa: TRY400
        return None
    known = Update.model_fields.keys() & found.keys() - {"update_id"}
    return update if known else None


def _bad(why: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "bad_request", why)
