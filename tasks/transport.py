"""aiohttp below httpx's API: httpx's own pool costs more CPU with every connection in it.

Unlike the `httpx-aiohttp` package it leaves addresses as they are (an id may hold an encoded slash), and lets none of
aiohttp's errors through.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
from yarl import URL

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""Where to connect to, as `socket.getaddrinfo` tells it."""
ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (aiohttp.TooManyRedirects, httpx.TooManyRedirects),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)
"""What aiohttp raises and httpx calls it; the first that fits."""


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientError as error:
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Refused):
            raise error.os_error from None
        ours = next(ours for theirs, ours in ERRORS if isinstance(error, theirs))
        raise ours(type(error).__name__) from error


async def _raw(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with _errors_of_httpx():
        async for chunk in answer.content.iter_any():
            yield chunk


def _is_packed(answer: aiohttp.ClientResponse) -> bool:
    return answer.headers.get("Content-Encoding", "identity") != "identity"


def _size(answer: aiohttp.ClientResponse) -> int | None:
    return None if _is_packed(answer) else answer.content_length


def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body, decoded where the server packed it though it was asked not to."""
    if not _is_packed(answer):
        return _raw(answer)
    return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer)).aiter_bytes()


@dataclass(frozen=True)
class Streamed:
    """An answer whose body comes in `chunks`, which raise httpx's errors; they have `size` bytes, if that was said."""

    status: int
    headers: Mapping[str, str]
    size: int | None
    chunks: AsyncIterator[bytes]


class Refused(OSError):
    """What a `socket_factory` raises: no connection to that address is wanted."""


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _raw(self._answer)

    async def aclose(self) -> None:
        # One that was not read to its end takes its connection with it.
        self._answer.release()


class Transport(httpx.AsyncBaseTransport):
    """Sends over at most so many connections; a `Refused` of `socket_factory`, which is asked before each, comes out bare."""

    def __init__(
        self, connections: int, tls: ssl.SSLContext, socket_factory: Callable[[Address], socket.socket] | None = None
    ) -> None:
        self._connector: dict[str, Any] = {"limit": connections, "ssl": tls, "socket_factory": socket_factory}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._send(
            request.method,
            # What is in it of a user and a password is in a header by now, and aiohttp wants it once.
            str(request.url.copy_with(username=None, password=None)),
            request.extensions["timeout"],
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=await request.aread() or None,
            allow_redirects=False,
        )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], patience: httpx.Timeout, redirects: int
    ) -> AsyncIterator[Streamed]:
        """What a GET answers after so many redirects at most. Past httpx, whose way there costs as much as all the rest."""
        following = {"allow_redirects": redirects > 0, "max_redirects": redirects + 1}
        answer = await self._send("GET", url, patience.as_dict(), headers=headers, **following)
        try:
            yield Streamed(answer.status, answer.headers, _size(answer), _chunks(answer))
        finally:
            answer.release()

    async def _send(
        self, method: str, url: str, seconds: Mapping[str, float | None], **more: Any
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(**self._connector),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        with _errors_of_httpx():
            return await self._session.request(
                method,
                URL(url, encoded=True),
                timeout=aiohttp.ClientTimeout(
                    connect=seconds["pool"], sock_connect=seconds["connect"], sock_read=seconds["read"]
                ),
                **more,
            )

    async def aclose(self) -> None:
        if self._session:
            await self._session.close()
