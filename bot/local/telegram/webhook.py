"""The stand-in's webhook: brings updates to an address, each again until it is taken, those of a chat one behind the other."""

import asyncio
import re
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiogram.types import Update

from bot.local.telegram.errors import ApiError, bad_request
from bot.local.telegram.world import World, dump

SECRET = re.compile(r"[A-Za-z0-9_-]*")
LONGEST_SECRET = 256
PORTS = {80, 88, 443, 8443}
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MOST_CONNECTIONS = 100
USUAL_CONNECTIONS = 40
SET_SECONDS = 1.0
"""Another address is taken only once in so long."""
ANSWER_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before an update is brought again; each time twice as long."""
OK = range(200, 300)


class Webhook:
    """Where the bot wants its updates. It wants to ask for them itself while there is no `url`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bringing: asyncio.Task[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._busy: set[int] = set()
        """Chats, and people who type in any chat, of whom an update is on its way or waits to be brought again."""
        self._set_at = float("-inf")
        self._settings: dict[str, Any] = {}
        self._last_error: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return str(self._settings.get("url", ""))

    async def set(self, url: str, secret: str, connections: int, allowed: list[str] | None) -> bool:
        """Bring updates there from now on. Raises `ApiError`."""
        _check(url, secret)
        settings = {
            "url": url,
            "secret": secret,
            "max_connections": max(1, min(MOST_CONNECTIONS, connections or USUAL_CONNECTIONS)),
            "allowed_updates": self._settings.get("allowed_updates", []) if allowed is None else allowed,
        }
        if settings == self._settings:
            return True
        if time.monotonic() - self._set_at < SET_SECONDS:
            raise ApiError(429, "Too Many Requests: retry after 1", retry_after=1)
        await self.delete()
        self._set_at = time.monotonic()
        self._settings, self._last_error = settings, {}
        self._bringing = asyncio.create_task(self._bring())
        return True

    async def delete(self) -> None:
        """Bring nothing any more; what was not taken waits."""
        tasks = [*self._posts, *([self._bringing] if self._bringing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._busy.clear()
        self._settings, self._bringing = {}, None

    def info(self) -> dict[str, Any]:
        """What `getWebhookInfo` tells."""
        settings = {name: value for name, value in self._settings.items() if name != "secret" and value}
        pending = len(self._world.updates)
        return {
            "url": "",
            **settings,
            "has_custom_certificate": False,
            "pending_update_count": pending,
            **self._last_error,
        }

    async def _bring(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as http:
            while True:
                self._world.drop_old_updates()
                for _, update in list(self._world.updates):
                    if len(self._posts) < self._settings["max_connections"] and _queue(update) not in self._busy:
                        self._busy.add(_queue(update))
                        post = asyncio.create_task(self._until_taken(http, update))
                        self._posts.add(post)
                        post.add_done_callback(self._posts.discard)
                await self._world.wait_for_update(1.0)

    async def _until_taken(self, http: aiohttp.ClientSession, update: Update) -> None:
        pause = FIRST_PAUSE
        while not await self._post(http, update):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._world.taken(update)
        self._busy.discard(_queue(update))
        self._world.stir()

    async def _post(self, http: aiohttp.ClientSession, update: Update) -> bool:
        headers = {"X-Telegram-Bot-Api-Secret-Token": self._settings["secret"]} if self._settings["secret"] else {}
        wrong = "Connection refused"
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.post(self.url, json=dump(update), headers=headers) as answer:
                if answer.status in OK:
                    return True
                wrong = f"Wrong response from the webhook: {answer.status} {answer.reason}"
        self._last_error = {"last_error_date": int(time.time()), "last_error_message": wrong}
        return False


def _queue(update: Update) -> int:
    match update:
        case Update(message=message) if message:
            return message.chat.id
        case Update(channel_post=post) if post:
            return post.chat.id
        case Update(callback_query=query) if query:
            return query.message.chat.id if query.message else query.from_user.id
        case Update(inline_query=typed) if typed:
            return typed.from_user.id
    return 0


def _check(url: str, secret: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad_request("bad webhook: URL is invalid", breach=True) from None
    if not host:
        raise bad_request("bad webhook: URL is invalid", breach=True)
    if host not in LOOPBACK and parts.scheme != "https":
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook", breach=True)
    if host not in LOOPBACK and port not in {None, *PORTS}:
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443", breach=True)
    if len(secret) > LONGEST_SECRET:
        raise bad_request("secret token is too long", breach=True)
    if not SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters", breach=True)
