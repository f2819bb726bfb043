"""HTTP for the adapters: answers with retries, pages as streams, and every failure as an error of ours."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina
from limits import RateLimitItem

from tasks.errors import (
    ManhwaError,
    PageBroken,
    PageForbidden,
    PageGone,
    PageTooLarge,
    PageUnreachable,
    SourceBusy,
    SourceDown,
    SourceError,
    SourceFailed,
)
from tasks.models import Page
from tasks.resources import PrivateAddress, Web
from tasks.sources.pace import LONGEST_WAIT, HostShut, Pace
from tasks.sources.source import Expect, nothing
from tasks.transport import Streamed

ATTEMPTS = 3
ALL_ATTEMPTS_SECONDS = 60.0
MAX_ANSWER_BYTES = 20_000_000
MAX_PAGE_BYTES = 50_000_000
ANSWER_SECONDS = 120.0
"""For all of one answer: aiohttp does not notice each kind of broken one, and would wait for ever."""
OVERLOADED = {429, 502, 503, 504}
SHUT_OUT_SECONDS = 120.0
"""What a guard in front of a site wants that answers 400 with a page for people instead of saying how long."""
LONGEST_MARK = 200
A_TIMESTAMP = 1_000_000_000
"""From here on a number is a time, not a duration: MangaDex writes its waits so."""

Params = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What a source answered, whatever it is."""

    status: int
    content_type: str
    body: bytes
    mark: str = ""
    """What it said of its state, for `unless`; empty = nothing."""


class SourceHttp:
    """What one source needs of HTTP; its name goes into every error."""

    def __init__(self, web: Web, source: str, pace: Pace) -> None:
        self._web = web
        self._source = source
        self._pace = pace

    async def json(
        self,
        url: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        limit: RateLimitItem | None = None,
    ) -> Any:
        """The JSON that a GET answers, whatever it is; see `ask`.

        Raises `SourceFailed` also for any other status and for what is no JSON; a text the server gave is in the error's
        detail as `said`.
        """
        return self.decoded(await self.ask(url, params, headers=headers, limit=limit))

    def decoded(self, answer: Answer) -> Any:
        """The JSON of an answer. Raises as `json` does."""
        decoded = _decode(answer)
        if answer.status != httpx.codes.OK or decoded is None:
            raise self.failed(answer, _message(decoded))
        return decoded

    def failed(self, answer: Answer, said: str = "") -> SourceFailed:
        """The error for an answer that is none; its status is in the detail as `status`."""
        return SourceFailed(f"status {answer.status}", source=self._source, status=answer.status, said=said)

    async def ask(
        self,
        url: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        limit: RateLimitItem | None = None,
    ) -> Answer:
        """What a GET answers, asked again where that helps, within the host's pace and a `limit` of its own.

        Raises `SourceDown` when it can't be reached or is overloaded, `SourceBusy` when it wants silence for longer than
        anybody waits, `SourceFailed` for an endless answer or an address that is none.
        """
        async for attempt in stamina.retry_context(wait_before_retry, ATTEMPTS, ALL_ATTEMPTS_SECONDS, 0.3, 10.0):
            with attempt:
                where = await self._turn(url, limit)
                return await self._ask_once("GET", url, where, params=params, headers=headers)
        raise SourceDown(source=self._source)  # not reached: the last attempt returns or raises

    async def post(self, url: str, **body: Any) -> Answer:
        """What a POST with that `json` or `data` answers; one attempt, outside of the host's pace. Raises like `ask`."""
        return await self._ask_once("POST", url, url, **body)

    async def _turn(self, url: str, limit: RateLimitItem | None) -> str:
        """Wait for the turn of a request; what is to fall silent if it is one too many."""
        try:
            host = httpx.URL(url).host
            if limit is None:
                await self._pace.slot(host)
                return host
            await self._pace.slot(f"{host}/{limit.namespace}", limit)
            await self._pace.slot(host)
        except httpx.InvalidURL as error:
            raise SourceFailed(source=self._source) from error
        except HostShut as error:
            raise SourceBusy(source=self._source, seconds=round(error.seconds)) from error
        return f"{host}/{limit.namespace}"

    async def _ask_once(self, method: str, url: str, where: str, **request: Any) -> Answer:
        try:
            address = httpx.URL(url)
            client = self._web.client_for(address)
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client.stream(method, address, follow_redirects=False, **request) as answer,
            ):
                return await self._read_answer(answer, where)
        except httpx.InvalidURL as error:
            raise SourceFailed(source=self._source) from error
        except (httpx.TransportError, httpx.DecodingError, PrivateAddress, UnicodeError, TimeoutError) as error:
            raise SourceDown(type(error).__name__, source=self._source) from error

    async def _read_answer(self, answer: httpx.Response, where: str) -> Answer:
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise SourceFailed("an endless answer", source=self._source)
        content_type = answer.headers.get("Content-Type", "").lower()
        guarded = answer.status_code == httpx.codes.BAD_REQUEST and "html" in content_type
        if guarded or answer.status_code in OVERLOADED:
            raise await self._overloaded(answer, where, SHUT_OUT_SECONDS if guarded else None)
        return Answer(answer.status_code, content_type, bytes(body), _mark(answer.headers))

    async def _overloaded(self, answer: httpx.Response, where: str, usual: float | None) -> SourceError:
        """The error for it; all others stay away from there for as long as it asks."""
        wait = retry_after(answer.headers)
        wait = usual if wait is None else wait
        if wait is not None:
            await self._pace.shut(where, wait)
        if wait is not None and wait > LONGEST_WAIT:
            return SourceBusy(f"status {answer.status_code}", source=self._source, seconds=round(wait))
        error = SourceDown(f"status {answer.status_code}", source=self._source, status=answer.status_code)
        error.retry_after = wait
        return error

    async def read(
        self, page: Page, expect: Expect = nothing, seen: Callable[[Mapping[str, str]], None] = lambda _: None
    ) -> AsyncGenerator[bytes, None]:
        """The page's bytes, one attempt; see `Source.read`. Redirects are followed to public addresses only.

        `seen` is told the headers of the answer, whatever it is.
        """
        url = self._page_url(page.address)
        try:
            async with self._web.get(url, page.headers) as answer:
                seen(answer.headers)
                self._check_status(answer)
                if answer.size is not None:
                    expect(answer.size)
                size = 0
                async for chunk in answer.chunks:
                    size += len(chunk)
                    if size > MAX_PAGE_BYTES:
                        raise PageTooLarge(source=self._source)
                    yield chunk
        except (PrivateAddress, httpx.UnsupportedProtocol, UnicodeError) as error:
            # A redirect may lead to a host that is no name at all, which shows only when it is spelled out.
            raise PageForbidden(source=self._source) from error
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError) as error:
            raise PageBroken(type(error).__name__, source=self._source) from error
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            raise PageUnreachable(type(error).__name__, source=self._source) from error

    def _page_url(self, address: str) -> httpx.URL:
        try:
            url = httpx.URL(address)
            usable = url.scheme in {"http", "https"} and url.host
        except (httpx.InvalidURL, UnicodeError) as error:
            raise PageForbidden(source=self._source) from error
        if not usable:
            raise PageForbidden(source=self._source)
        return url

    def _check_status(self, answer: Streamed) -> None:
        if httpx.codes.is_success(answer.status):
            return
        if answer.status >= 500 or answer.status in OVERLOADED:
            error = PageUnreachable(source=self._source, status=answer.status)
            wait = retry_after(answer.headers)
            error.retry_after = None if wait is None else min(wait, LONGEST_WAIT)
            raise error
        raise PageGone(source=self._source, status=answer.status)


def wait_before_retry(error: Exception) -> bool | float:
    """For `stamina`: whether trying again may help, and how many seconds to wait first where the other side said so."""
    if not isinstance(error, ManhwaError) or not error.retry_helps:
        return False
    return error.retry_after if error.retry_after is not None else True


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer with these headers wants to be waited: a number of them, a date, or a time as MangaDex writes it.

    None = not said.
    """
    value = (headers.get("Retry-After") or headers.get("X-RateLimit-Retry-After") or "").strip()
    if value.isascii() and value.isdecimal():
        seconds = float(value[:12])
        return max(seconds - time.time(), 0.0) if seconds >= A_TIMESTAMP else seconds
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((until.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _mark(headers: Mapping[str, str]) -> str:
    mark = headers.get("ETag") or headers.get("Last-Modified") or ""
    return mark if len(mark) <= LONGEST_MARK and mark.isascii() and mark.isprintable() else ""


def is_as_it_was(answer: Answer, mark: str) -> bool:
    """Whether the answer says that nothing has changed since it had that mark; some send all of it once more."""
    if answer.status == httpx.codes.NOT_MODIFIED:
        return bool(mark)
    # A date that never changes is no word of the contents.
    return answer.status == httpx.codes.OK and mark.endswith('"') and answer.mark == mark


def unless(mark: str) -> dict[str, str]:
    """Headers that ask for an answer only if its state is another one by now; an `Answer` that is not is a 304."""
    if not mark:
        return {}
    return {"If-None-Match": mark} if mark.endswith('"') else {"If-Modified-Since": mark}


def _decode(answer: Answer) -> Any:
    """The JSON of an answer; None for what is none."""
    if "json" not in answer.content_type:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _message(decoded: Any) -> str:
    """The text of an error answer; some servers put an empty object where others have a text."""
    message = decoded.get("message") if isinstance(decoded, dict) else None
    return message[:200] if isinstance(message, str) else ""
