"""Opens what lives outside the process, for the length of one `async with`."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tasks import redis_address
from tasks.redis_address import RedisAddress
from tasks.transport import Address, Refused, Streamed, Transport

REDIS_RETRIES = 40
"""With waits of up to 1 s: about 35 s of a restarting server are sat out before a command fails."""

REDIS_TIMEOUT = 15.0
"""Seconds for one command, also to a host that was cut off; longer than any blocking read we make."""

USER_AGENT = "ManhwaDownloader/0.1 (Telegram bot; self-hosted)"
AS_IT_IS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
"""What goes with a request for a page: pictures do not get smaller any more."""
CONNECTIONS = 20
"""At most, of each of the two ways of a process: the pages of a job, and beside them the lists of those that come next."""
SOURCE_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""Seconds; a scraper behind Consumet may take long for one answer, and has no timeout of its own."""


@asynccontextmanager
async def open_redis(url: str, retries: int = REDIS_RETRIES) -> AsyncIterator[Redis]:
    """A client that answers in text and sits out a restart of the server, or a fail-over; raises redis errors after that.

    `url` is an address as it stands in the settings.
    """
    async with AsyncExitStack() as stack:
        retry = Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.1), retries)
        client = _client(redis_address.parse(url), retry, stack)
        pool = client.connection_pool
        ours = _OfMaster if issubclass(pool.connection_class, SentinelManagedConnection) else _Connection
        pool.connection_class = type("Connection", (ours, pool.connection_class), {})
        stack.push_async_callback(client.aclose)
        yield client


def _client(address: RedisAddress, retry: Retry, stack: AsyncExitStack) -> Redis:
    options: dict[str, Any] = {
        "db": address.database,
        "decode_responses": True,
        "socket_timeout": REDIS_TIMEOUT,
        "retry": retry,
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
        **address.credentials,
        **({"ssl": True, **address.tls} if address.tls else {}),
    }
    if address.path:
        return Redis(unix_socket_path=address.path, **options)
    if not address.master:
        [(host, port)] = address.hosts
        return Redis(host=host, port=port, **options)
    of_sentinels = {**address.sentinel_options, "retry": Retry(NoBackoff(), 0)}
    sentinel = Sentinel(address.hosts, sentinel_kwargs=of_sentinels, **options)  # type: ignore[no-untyped-call]
    stack.push_async_callback(sentinel.aclose)
    client: Redis = sentinel.master_for(address.master)
    return client


class _Connection(AbstractConnection):
    """Hears every cancellation: redis-py sends with `asyncio.wait_for`, which before Python 3.12 swallows one now and then."""

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            await self._connect_once()
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*args, **kwargs)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # an answer is on its way that nobody reads
            raise asyncio.CancelledError

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as error:
            if str(error).startswith(redis_address.NO_REPLICAS):
                raise RedisConnectionError(str(error)) from error  # it is away as well, in all but name
            raise

    async def _connect_once(self) -> None:
        """For a command that lost its connection, and counts its tries itself."""
        await self.connect_check_health(check_health=False, retry_socket_connect=False)


class _OfMaster(_Connection, SentinelManagedConnection):
    """Asks the Sentinels each time: for a command that lost its connection redis-py goes back to the master it had."""

    async def _connect_once(self) -> None:
        await self._connect_retry()  # type: ignore[no-untyped-call]


Origin = tuple[bytes, bytes, int | None]


@dataclass(frozen=True)
class _Way:
    """How some addresses are reached: with a client, and for what is large by the transport below it."""

    client: httpx.AsyncClient
    transport: Transport
    redirects: int


class Web:
    """HTTP for the sources: one way to the addresses the operator configured, one to all others.

    Only the operator's own origins may be private; every other connection is refused unless its address is public, checked
    at connect time and so for every redirect as well.
    """

    def __init__(self, trusted: _Way, guarded: _Way, timeout: httpx.Timeout, origins: frozenset[Origin]) -> None:
        self._trusted = trusted
        self._guarded = guarded
        self._timeout = timeout
        self._origins = origins

    def client_for(self, url: httpx.URL) -> httpx.AsyncClient:
        return self._way(url).client

    def get(self, url: httpx.URL, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Streamed]:
        """A large answer, as a stream. Raises what httpx does, and `PrivateAddress`."""
        way = self._way(url)
        return way.transport.get(str(url), {**AS_IT_IS, **headers}, self._timeout, way.redirects)

    def _way(self, url: httpx.URL) -> _Way:
        return self._trusted if origin(url) in self._origins else self._guarded


def origin(url: httpx.URL) -> Origin:
    """Scheme, host and port alone."""
    return url.raw_scheme, url.raw_host, url.port


class PrivateAddress(Refused):
    """A connection to an address that is not public was refused."""


def _public_only(address: Address) -> socket.socket:
    """The socket for a connection to this address, whichever name led there. Raises `PrivateAddress`."""
    family, kind, protocol, _, where = address
    if not all(ip.is_global for ip in _meant(str(where[0]))):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


NAT64 = IPv6Network("64:ff9b::/96")


def _meant(address: str) -> list[IPv4Address | IPv6Address]:
    """The address, and the older one that it carries."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return [ip]
    carried = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None)
    return [ip] if carried is None else [carried] if ip.ipv4_mapped else [ip, carried]


@cache
def _tls() -> ssl.SSLContext:
    # Made once in a process: it takes long, and much memory.
    return httpx.create_ssl_context()


@asynccontextmanager
async def open_web(*configured: str) -> AsyncIterator[Web]:
    """HTTP clients; `configured` are the operator's own addresses, which may be private. Empty ones are passed over."""
    async with (
        _way(Transport(CONNECTIONS, _tls()), 0) as trusted,
        _way(Transport(CONNECTIONS, _tls(), _public_only), 3) as guarded,
    ):
        yield Web(trusted, guarded, SOURCE_TIMEOUT, frozenset(origin(httpx.URL(url)) for url in configured if url))


@asynccontextmanager
async def _way(transport: Transport, redirects: int) -> AsyncIterator[_Way]:
    async with httpx.AsyncClient(
        headers={"User-Agent": USER_AGENT},
        timeout=SOURCE_TIMEOUT,
        transport=transport,
        follow_redirects=redirects > 0,
        max_redirects=redirects,
    ) as client:
        yield _Way(client, transport, redirects)
