"""Opens what lives outside the process, for the length of one `async with`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from httpx_secure import httpx_ssrf_protection
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

REDIS_RETRIES = 40
"""With waits of up to 1 s: about 35 s of a restarting server are sat out before a command fails."""

REDIS_TIMEOUT = 30.0
"""Seconds for one command; longer than any blocking read we make."""

USER_AGENT = "ManhwaDownloader/0.1 (Telegram bot; self-hosted)"
SOURCE_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""Seconds; a scraper behind Consumet may take long for one answer, and has no timeout of its own."""


@asynccontextmanager
async def open_redis(url: str, retries: int = REDIS_RETRIES) -> AsyncIterator[Redis]:
    """A client that answers in text and sits out a restart of the server; raises redis errors after that."""
    client = Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=REDIS_TIMEOUT,
        retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.1), retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    try:
        yield client
    finally:
        await client.aclose()


class _Cancellable(AbstractConnection):
    """Hears every cancellation: redis-py sends with `asyncio.wait_for`, which before Python 3.12 swallows one now and then."""

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*args, **kwargs)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # an answer is on its way that nobody reads
            raise asyncio.CancelledError


class Web:
    """HTTP for the sources: one client for the addresses the operator configured, one for all others.

    Only the operator's own origins may be private; every other connection is refused unless its address is public, checked
    at connect time and so for every redirect as well.
    """

    def __init__(self, trusted: httpx.AsyncClient, guarded: httpx.AsyncClient, origins: frozenset[httpx.URL]) -> None:
        self._trusted = trusted
        self._guarded = guarded
        self._origins = origins

    def client_for(self, url: httpx.URL) -> httpx.AsyncClient:
        return self._trusted if origin(url) in self._origins else self._guarded


def origin(url: httpx.URL) -> httpx.URL:
    """Scheme, host and port alone."""
    return url.copy_with(raw_path=b"/", fragment=None, username=None, password=None)


@asynccontextmanager
async def open_web(*configured: str) -> AsyncIterator[Web]:
    """HTTP clients; `configured` are the operator's own addresses, which may be private. Empty ones are passed over."""
    headers = {"User-Agent": USER_AGENT}
    limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
    tls = httpx.create_ssl_context()
    async with (
        httpx.AsyncClient(headers=headers, timeout=SOURCE_TIMEOUT, limits=limits, verify=tls) as trusted,
        httpx.AsyncClient(
            headers=headers, timeout=SOURCE_TIMEOUT, limits=limits, verify=tls, follow_redirects=True, max_redirects=3
        ) as guarded,
    ):
        yield Web(trusted, httpx_ssrf_protection(guarded), frozenset(origin(httpx.URL(u)) for u in configured if u))
