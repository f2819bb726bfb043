"""Who may come in, and how often.

With API_TOKEN everybody who has it; without, programs on this machine alone. A browser that some other site's page drives, or
a proxy that passes on what others ask, comes from this machine as well: neither is let in.
"""

import asyncio
import hashlib
import hmac
import time
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from limits import RateLimitItemPerMinute
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.settings import BotSettings
from bot.vitals import QUICK_SECONDS
from bot.web.answers import Refused
from tasks.budget import shared_limiter

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
WITH_TOKEN = {"WWW-Authenticate": "Bearer"}


class Door:
    """Looks at requests before anything else does."""

    def __init__(self, settings: BotSettings, redis: Redis) -> None:
        self._token = settings.api_token.get_secret_value()
        self._budget = RateLimitItemPerMinute(settings.api_rate_limit, namespace="api")
        self._limiter = shared_limiter(redis, "manhwa:bot:api")

    def let_look(self, request: web.Request) -> None:
        """Let everybody see what is no secret, unless nobody but this machine is answered. Raises `Refused`."""
        if not self._token:
            _from_here(request)

    async def let_in(self, request: web.Request) -> str:
        """Who asks, as the requester of jobs. Raises `Refused`."""
        who = self._with_token(request) if self._token else _from_here(request)
        # Without Redis nobody counts, and who comes in hears of it.
        with suppress(RedisError, TimeoutError):
            async with asyncio.timeout(QUICK_SECONDS):
                if not await self._limiter.hit(self._budget, who):
                    raise await self._too_fast(who)
        return who

    async def _too_fast(self, who: str) -> Refused:
        reset = (await self._limiter.get_window_stats(self._budget, who)).reset_time
        return Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_fast",
            f"At most {self._budget.amount} requests a minute are answered.",
            {"Retry-After": str(max(1, round(reset - time.time())))},
        )

    def _with_token(self, request: web.Request) -> str:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if not given:
            raise Refused(HTTPStatus.UNAUTHORIZED, "no_token", "Send the token: Authorization: Bearer …", WITH_TOKEN)
        fits = hmac.compare_digest(given.strip().encode(errors="replace"), self._token.encode())
        if kind.lower() != "bearer" or not fits:
            raise Refused(HTTPStatus.UNAUTHORIZED, "wrong_token", "That is not the token of this service.", WITH_TOKEN)
        return f"api:{hashlib.sha256(self._token.encode()).hexdigest()[:8]}"


def _from_here(request: web.Request) -> str:
    if not _is_local(request):
        why = "Without API_TOKEN this service answers on its own machine only."
        raise Refused(HTTPStatus.UNAUTHORIZED, "not_local", why, WITH_TOKEN)
    return "api:local"


def _is_local(request: web.Request) -> bool:
    if any(name in request.headers for name in FORWARDED):
        return False
    # Not `request.host`, which asks the DNS for a name of ours where none is given.
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    same_origin = origin is None or origin.partition("://")[2] == host
    return same_origin and _is_loopback(request.remote or "") and _is_loopback(_name(host))


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        ip = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
