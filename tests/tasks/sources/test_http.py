"""Web requests that go wrong, one by one."""

import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import httpx
import pytest

from tasks import resources
from tasks.errors import (
    PageBroken,
    PageError,
    PageForbidden,
    PageGone,
    PageTooLarge,
    PageUnreachable,
    SourceDown,
    SourceFailed,
)
from tasks.models import Page
from tasks.resources import open_web
from tasks.sources import http as http_module
from tasks.sources.http import SourceHttp, retry_after, wait_before_retry
from tasks.sources.pace import Pace
from tests.web_server import Reply, WebServer


@pytest.fixture
async def http(source_server: WebServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SourceHttp]:
    monkeypatch.setattr(resources, "SOURCE_TIMEOUT", httpx.Timeout(0.3))
    source_server.reset()
    async with open_web(source_server.url) as web:
        yield SourceHttp(web, "test", Pace(1000))


async def read(http: SourceHttp, address: str) -> bytes:
    return b"".join([chunk async for chunk in http.read(Page(address=address))])


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b"", status=404), PageGone),
        (Reply(b"", status=403), PageGone),
        (Reply(b"", status=500), PageUnreachable),
        (Reply(b"", status=503), PageUnreachable),
        (Reply(b"", status=429), PageUnreachable),
        (Reply(b"x" * 1000, cut=10), PageBroken),
        (Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), PageBroken),
        (Reply(bytes(50_000_001)), PageTooLarge),
        (Reply(bytes(50_000_001), length=False), PageTooLarge),
    ],
    ids=["404", "403", "500", "503", "429", "cut", "no-gzip", "too-large", "endless"],
)
async def test_a_page_that_can_not_be_had_says_why(
    source_server: WebServer, http: SourceHttp, reply: Reply, error: type[PageError]
) -> None:
    source_server.on("/page", reply)
    with pytest.raises(error) as told:
        await read(http, f"{source_server.url}/page")
    assert told.value.detail["source"] == "test"


async def test_a_page_without_a_length_is_read_to_its_end(source_server: WebServer, http: SourceHttp) -> None:
    source_server.on("/page", Reply(b"picture", length=False))
    assert await read(http, f"{source_server.url}/page") == b"picture"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_neighbours_on_the_same_machine_are_not_asked(http: SourceHttp, host: str) -> None:
    with WebServer() as neighbour:
        neighbour.otherwise = Reply(b"secret")
        with pytest.raises(PageForbidden):
            await read(http, f"http://{host}:{neighbour.url.rpartition(':')[2]}/page")
        assert neighbour.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "//example.org/x",
        "http://",
        "not an address",
        "http://exa\x00mple/",
    ],
)
async def test_addresses_that_are_not_public_are_refused(http: SourceHttp, address: str) -> None:
    with pytest.raises(PageForbidden):
        await read(http, address)


async def test_a_configured_server_may_not_lead_us_elsewhere(source_server: WebServer, http: SourceHttp) -> None:
    with WebServer() as neighbour:
        source_server.on("/page", Reply(b"", status=302, headers={"Location": f"{neighbour.url}/secret"}))
        with pytest.raises(PageError):
            await read(http, f"{source_server.url}/page")
        with pytest.raises(SourceFailed):
            await http.json(f"{source_server.url}/page")
        assert neighbour.requests == []


async def test_a_silent_server_is_given_up(source_server: WebServer, http: SourceHttp) -> None:
    let_go = threading.Event()
    source_server.on("/silent", Reply(b"{}", wait_for=let_go))
    with pytest.raises(PageUnreachable):
        await read(http, f"{source_server.url}/silent")
    with pytest.raises(SourceDown):
        await http.json(f"{source_server.url}/silent")
    let_go.set()


async def test_an_endless_answer_is_not_read_to_its_end(source_server: WebServer, http: SourceHttp) -> None:
    source_server.on("/endless", Reply(b" " * 20_000_001))
    with pytest.raises(SourceFailed):
        await http.json(f"{source_server.url}/endless")


def in_hours(hours: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("100000", 100_000.0),
        pytest.param(-1, 0.0, id="an hour ago"),
        pytest.param(1, pytest.approx(3600, abs=60), id="in an hour"),
        ("soon", None),
        ("²", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | int, seconds: float | None) -> None:
    said = header if isinstance(header, str) else in_hours(header)
    # As bytes: httpx would not take the odd ones as text.
    answer = httpx.Response(429, headers=[(b"Retry-After", said.encode())])
    assert retry_after(answer.headers) == seconds


def test_what_the_other_side_asks_for_is_waited() -> None:
    down = SourceDown(source="test")
    assert wait_before_retry(down) is True
    down.retry_after = 3.0
    assert wait_before_retry(down) == 3.0
    assert wait_before_retry(SourceFailed(source="test")) is False
    assert wait_before_retry(ValueError()) is False


BROKEN = Reply(b"5\r\nhello\r\nZZZ\r\nfoo", headers={"Transfer-Encoding": "chunked"}, length=False)
"""An answer in chunks, one of which has no length."""


async def test_an_answer_in_broken_chunks_holds_nobody_up(
    source_server: WebServer, http: SourceHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(http_module, "ATTEMPTS", 1)
    source_server.on("/broken", BROKEN)
    with pytest.raises(SourceDown):
        await http.json(f"{source_server.url}/broken")


async def test_a_user_and_password_of_the_operator_are_sent_once(source_server: WebServer, http: SourceHttp) -> None:
    source_server.on("/private", Reply(b"{}"))
    address = source_server.url.replace("://", "://user:pa%20ss@")
    assert await http.json(f"{address}/private") == {}
    assert source_server.requests[-1][1]["Authorization"] == "Basic dXNlcjpwYSBzcw=="


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["::1", "127.0.0.1"], ["10.0.0.1"]])
async def test_a_name_with_several_private_addresses_is_not_asked(
    http: SourceHttp, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    async def resolve(*_: object, **__: object) -> list[dict[str, object]]:
        return [
            {"hostname": "x", "host": one, "port": 80, "proto": 0, "flags": 0, "family": _family(one)}
            for one in addresses
        ]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    with pytest.raises(PageForbidden):
        await read(http, "http://pictures.example/page")
    with pytest.raises(SourceDown):
        await http.json("http://pictures.example/list")


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
