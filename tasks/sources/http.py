"""HTTP for the adapters: JSON with retries, pages as streams, and every failure as an error of ours."""

import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina
from httpx_secure import SSRFProtectionError

from tasks.errors import (
    ManhwaError,
    PageBroken,
    PageForbidden,
    PageGone,
    PageTooLarge,
    PageUnreachable,
    SourceDown,
    SourceFailed,
)
from tasks.models import Page
from tasks.resources import Web

ATTEMPTS = 3
ALL_ATTEMPTS_SECONDS = 60.0
LONGEST_WAIT = 60.0
"""Seconds of a Retry-After that are waited; who asks for more is asked again by a person."""
MAX_JSON_BYTES = 20_000_000
MAX_PAGE_BYTES = 50_000_000
CHUNK = 64 * 1024
OVERLOADED = {429, 502, 503, 504}


class SourceHttp:
    """What one source needs of HTTP; its name goes into every error."""

    def __init__(self, web: Web, source: str) -> None:
        self._web = web
        self._source = source

    async def json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON that a GET answers, whatever it is.

        Raises `SourceDown` when it can't be reached or is overloaded, `SourceFailed` for any other status and for what is
        no JSON; an HTTP status is in the error's detail as `status`, and a text the server gave as `said`.
        """
        async for attempt in stamina.retry_context(wait_before_retry, ATTEMPTS, ALL_ATTEMPTS_SECONDS, 0.3, 10.0):
            with attempt:
                return await self._json_once(url, params)
        raise SourceDown(source=self._source)  # not reached: the last attempt returns or raises

    async def _json_once(self, url: str, params: Mapping[str, str] | None) -> Any:
        try:
            address = httpx.URL(url, params=params) if params else httpx.URL(url)
            client = self._web.client_for(address)
            async with client.stream("GET", address, follow_redirects=False) as answer:
                return await self._read_json(answer)
        except httpx.InvalidURL as error:
            raise SourceFailed(source=self._source) from error
        except (httpx.TransportError, httpx.DecodingError, SSRFProtectionError) as error:
            raise SourceDown(type(error).__name__, source=self._source) from error

    async def _read_json(self, answer: httpx.Response) -> Any:
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_JSON_BYTES:
                raise SourceFailed("an endless answer", source=self._source)
        if answer.status_code in OVERLOADED:
            error = SourceDown(f"status {answer.status_code}", source=self._source, status=answer.status_code)
            error.retry_after = retry_after(answer)
            raise error
        decoded = _decode(bytes(body), answer.headers.get("Content-Type", ""))
        if answer.status_code != httpx.codes.OK or decoded is None:
            raise SourceFailed(
                f"status {answer.status_code}",
                source=self._source,
                status=answer.status_code,
                said=_message(decoded),
            )
        return decoded

    async def read(self, page: Page) -> AsyncGenerator[bytes, None]:
        """The page's bytes, one attempt; see `Source.read`. Redirects are followed to public addresses only."""
        url = self._page_url(page.address)
        try:
            async with self._web.client_for(url).stream("GET", url, headers=page.headers) as answer:
                self._check_status(answer)
                size = 0
                async for chunk in answer.aiter_bytes(CHUNK):
                    size += len(chunk)
                    if size > MAX_PAGE_BYTES:
                        raise PageTooLarge(source=self._source)
                    yield chunk
        except (SSRFProtectionError, httpx.UnsupportedProtocol, UnicodeError) as error:
            # A redirect may lead to a host that is no name at all, which shows only when it is spelled out.
            raise PageForbidden(source=self._source) from error
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
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

    def _check_status(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code >= 500 or answer.status_code in OVERLOADED:
            error = PageUnreachable(source=self._source, status=answer.status_code)
            error.retry_after = retry_after(answer)
            raise error
        raise PageGone(source=self._source, status=answer.status_code)


def wait_before_retry(error: Exception) -> bool | float:
    """For `stamina`: whether trying again may help, and how many seconds to wait first where the other side said so."""
    if not isinstance(error, ManhwaError) or not error.retry_helps:
        return False
    return error.retry_after if error.retry_after is not None else True


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that a Retry-After header asks for, at most `LONGEST_WAIT`; it may be a number or a date."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _decode(body: bytes, content_type: str) -> Any:
    """The JSON of a body; None for what is none."""
    if "json" not in content_type.lower():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _message(decoded: Any) -> str:
    """The text of an error answer; some servers put an empty object where others have a text."""
    message = decoded.get("message") if isinstance(decoded, dict) else None
    return message[:200] if isinstance(message, str) else ""
