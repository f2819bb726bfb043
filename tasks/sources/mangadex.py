"""MangaDex by its own API (`MANGADEX_API_URL`), within its terms: groups are credited, its limits kept, its nodes reported.

Addresses of pages are `<chapter>/data|data-saver/<hash>/<file>`: which node has them changes every few minutes.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from limits import RateLimitItemPerSecond
from pydantic import ValidationError

from tasks.errors import (
    GuestLimit,
    NoPages,
    NotFound,
    PageBroken,
    PageError,
    PageForbidden,
    PageGone,
    PageUnreachable,
    SourceBusy,
    SourceError,
    SourceFailed,
)
from tasks.models import (
    NO_FILTERS,
    Filters,
    Link,
    Listing,
    Manga,
    MangaDetails,
    Order,
    Page,
    Quality,
    Rating,
    SearchPage,
)
from tasks.sources import mangadex_answers as answers
from tasks.sources.fields import UUID, parsed
from tasks.sources.http import Params, SourceHttp
from tasks.sources.mangadex_account import OFFICIAL_API, Account
from tasks.sources.source import Expect, nothing, one_line

log = logging.getLogger(__name__)

OFFICIAL_REPORTS = "https://api.mangadex.network/report"
ON_A_PAGE = 20
IN_A_FEED = 500
BY_IDS = 100
FARTHEST = 10_000
"""`offset + limit` may not be more."""
AT_HOME_LIMIT = RateLimitItemPerSecond(40, 61, namespace="at-home")
"""Forty a minute, and a second for those that were longer on their way."""
NODE_SECONDS = 300.0
"""Of the 15 minutes that a node's address is good for: it has to last for the pages that are on their way."""
MOST_NODES = 64
MOST_REPORTS = 1000
REPORTS_AT_ONCE = 4
REPORT_SECONDS = 5.0
LAST_REPORTS_SECONDS = 2.0
"""Nobody waits longer for a file than that because of what is still to be reported."""
OWN_HOST = "mangadex.org"
RATINGS = [("contentRating[]", rating.value) for rating in Rating]
ADDRESS = re.compile(rf"({UUID.pattern})/((?:data|data-saver)/[\w.-]+/([\w.-]+))", re.ASCII | re.IGNORECASE)
CHECKSUM = re.compile(r".*-([0-9a-f]{64})\.\w+")
"""File names end with the SHA-256 of what is in them."""
SITE_PATH = re.compile(rf"/(title|manga|chapter)/({UUID.pattern})(?:/.*)?", re.IGNORECASE)
INCLUDED = [("includes[]", kind) for kind in ("cover_art", "author", "artist")]
ORDERS = {
    Order.RELEVANCE: ("relevance", "desc"),
    Order.FOLLOWED: ("followedCount", "desc"),
    Order.LATEST: ("latestUploadedChapter", "desc"),
    Order.TITLE: ("title", "asc"),
    Order.YEAR: ("year", "desc"),
    Order.ADDED: ("createdAt", "desc"),
    Order.UPDATED: ("updatedAt", "desc"),
    Order.RATING: ("rating", "desc"),
}


@dataclass
class _Node:
    """Where a chapter's pages are for the next minutes."""

    base: str = ""
    since: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.since < NODE_SECONDS


@dataclass
class _Seen:
    """What a report says of one image."""

    started: float = field(default_factory=time.monotonic)
    size: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def report(self, url: str, *, success: bool) -> dict[str, Any]:
        return {
            "url": url,
            "success": success,
            "bytes": self.size,
            "duration": round((time.monotonic() - self.started) * 1000),
            "cached": self.headers.get("X-Cache", "").upper().startswith("HIT"),
        }


@asynccontextmanager
async def open_mangadex(http: SourceHttp, api: str, account: Account) -> AsyncIterator["MangaDex"]:
    """MangaDex as a source; what it has to report of its nodes goes out while the block lasts."""
    source = MangaDex(http, api, account)
    reporting = [asyncio.create_task(source.send_reports()) for _ in range(REPORTS_AT_ONCE)]
    try:
        yield source
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_REPORTS_SECONDS):
                await source.reported()
        for one in reporting:
            one.cancel()
        await asyncio.wait(reporting)


class MangaDex:
    """The MangaDex API as a source."""

    number = 0
    name = "mangadex"
    has_smaller = True
    at_once = BY_IDS
    is_local = False

    def __init__(self, http: SourceHttp, api: str, account: Account) -> None:
        self._http = http
        self._api = api
        self._account = account
        # Nodes of another API are not those of MangaDex@Home.
        self._reports_to = OFFICIAL_REPORTS if api == OFFICIAL_API else f"{api}/report"
        self._reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_REPORTS)
        self._nodes: dict[str, _Node] = {}

    async def search(self, query: str, page: int = 1, filters: Filters = NO_FILTERS, /) -> SearchPage:
        title, offset = one_line(query), (page - 1) * ON_A_PAGE
        if not title or offset + ON_A_PAGE > FARTHEST:
            return SearchPage(mangas=())
        asked = [("title", title), ("limit", str(ON_A_PAGE)), ("offset", str(offset)), *_filters(filters)]
        asked += INCLUDED
        found = parsed(answers.Listing, await self._get("/manga", asked), self.name)
        mangas = tuple(self._manga(one) for one in found.data if one.id)
        return SearchPage(mangas=mangas, has_more=0 < found.end <= FARTHEST - ON_A_PAGE)

    async def details(self, manga_id: str) -> MangaDetails:
        self._check_id(manga_id)
        answer = parsed(answers.One, await self._get(f"/manga/{manga_id}", INCLUDED), self.name)
        return MangaDetails(manga=self._manga(answer.data), chapters=self._chapters(await self._feed(manga_id)))

    async def _feed(self, manga_id: str) -> list[answers.Entity]:
        found: list[answers.Entity] = []
        offset = 0
        while offset + IN_A_FEED <= FARTHEST:
            asked = [
                ("limit", str(IN_A_FEED)),
                ("offset", str(offset)),
                ("includes[]", "scanlation_group"),
                ("order[volume]", "desc"),
                ("order[chapter]", "desc"),
                # Chapters that are not out yet are left out; those that are only linked, or were taken away, are not.
                ("includeFuturePublishAt", "0"),
                *RATINGS,
            ]
            listing = parsed(answers.Listing, await self._get(f"/manga/{manga_id}/feed", asked), self.name)
            found += listing.data
            if not (offset := listing.end):
                break
        return found

    async def marks(self, manga_ids: Sequence[str], /) -> Mapping[str, str]:
        known = [one for one in manga_ids if UUID.fullmatch(one)]
        asked = [*(("ids[]", one) for one in known), ("limit", str(self.at_once)), *RATINGS]
        found = parsed(answers.Listing, await self._get("/manga", asked), self.name) if known else None
        return {one.id: mark for one in (found.data if found else []) if (mark := answers.latest(one))}

    async def look(self, manga_id: str, _mark: str = "", /) -> Listing:
        self._check_id(manga_id)
        return Listing(chapters=self._chapters(await self._feed(manga_id)))

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        for chapter_id in chapter_ids:
            self._check_id(chapter_id)
        found: dict[str, answers.Entity] = {}
        for first in range(0, len(chapter_ids), BY_IDS):
            some = chapter_ids[first : first + BY_IDS]
            asked = [
                *(("ids[]", one) for one in some),
                ("limit", str(BY_IDS)),
                ("includes[]", "manga"),
                ("includes[]", "scanlation_group"),
                *RATINGS,
            ]
            listing = parsed(answers.Listing, await self._get("/chapter", asked), self.name)
            found |= {one.id: one for one in listing.data}
        if any(one not in found for one in chapter_ids):
            raise NotFound(source=self.name)
        chapters = [found[one] for one in chapter_ids]
        return MangaDetails(manga=self._manga_of(chapters[0]), chapters=tuple(map(self._chapter, chapters)))

    def _manga_of(self, chapter: answers.Entity) -> Manga:
        related = next(iter(chapter.related("manga")), None)
        if related is None or not related.id:
            return Manga(source=self.name, id=chapter.id, title=chapter.id)
        return self._manga(answers.Entity(id=related.id, attributes=related.attributes))

    async def pages(self, chapter_id: str, quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        self._check_id(chapter_id)
        found = await self._at_home(chapter_id)
        self._keep_node(chapter_id, found.base)
        small = quality is not Quality.ORIGINAL and bool(found.chapter.saver)
        folder, names = ("data-saver", found.chapter.saver) if small else ("data", found.chapter.data)
        if not names:
            raise NoPages(source=self.name)
        return tuple(Page(address=f"{chapter_id}/{folder}/{found.chapter.hash}/{name}") for name in names)

    async def _at_home(self, chapter_id: str) -> answers.AtHome:
        try:
            answer = await self._get(f"/at-home/server/{chapter_id}", [("forcePort443", "false")], at_home=True)
        except NotFound as error:
            raise NoPages(source=self.name) from error
        except SourceBusy as error:
            raise self._maybe_guest(error) from error
        except SourceFailed as error:
            raise (
                self._maybe_guest(error) if error.detail.get("status") == httpx.codes.FORBIDDEN else error
            ) from error
        return parsed(answers.AtHome, answer, self.name)

    def _maybe_guest(self, error: SourceError) -> SourceError:
        return error if self._account.is_set else GuestLimit(source=self.name)

    def _keep_node(self, chapter_id: str, base: str) -> _Node:
        node = self._nodes.setdefault(chapter_id, _Node())
        node.base, node.since = base.rstrip("/"), time.monotonic()
        while len(self._nodes) > MOST_NODES:
            del self._nodes[next(iter(self._nodes))]
        return node

    async def _node_of(self, chapter_id: str) -> _Node:
        node = self._nodes.setdefault(chapter_id, _Node())
        async with node.lock:
            return node if node.is_fresh else self._keep_node(chapter_id, (await self._at_home(chapter_id)).base)

    async def read(self, page: Page, expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        known = ADDRESS.fullmatch(page.address)
        if not known or ".." in known[2]:
            raise PageForbidden(source=self.name)
        try:
            node = await self._node_of(known[1])
        except SourceError as error:
            unreachable = PageUnreachable(str(error), source=self.name)
            unreachable.retry_after = error.retry_after
            raise unreachable from error
        base = node.base
        url, seen = f"{base}/{known[2]}", _Seen()
        try:
            async with aclosing(self._checked(url, known[3], seen, expect)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except PageError as error:
            await self._report_now(seen.report(url, success=False))
            if node.base == base:
                node.since = float("-inf")
            if isinstance(error, PageGone):
                # The node has it no more, or its address has run out: another one will do.
                raise PageUnreachable(**error.detail) from error
            raise
        self._report(seen.report(url, success=True))

    async def _checked(self, url: str, name: str, seen: _Seen, expect: Expect) -> AsyncGenerator[bytes, None]:
        """The picture's bytes. Raises `PageError`, and `PageBroken` at the end where they are not what its name says."""
        digest = hashlib.sha256()

        def note(headers: Mapping[str, str]) -> None:
            seen.headers = headers

        async with aclosing(self._http.read(Page(address=url), expect, note)) as chunks:
            async for chunk in chunks:
                seen.size += len(chunk)
                digest.update(chunk)
                yield chunk
        checksum = CHECKSUM.fullmatch(name)
        if checksum and checksum[1] != digest.hexdigest():
            raise PageBroken("not the picture of that name", source=self.name)

    def _report(self, report: dict[str, Any]) -> None:
        if _is_own(report["url"]):
            return
        with suppress(asyncio.QueueFull):
            self._reports.put_nowait(report)

    async def _report_now(self, report: dict[str, Any]) -> None:
        """Until a failure is known there, the same node may be named again. A report that fails harms nothing."""
        if _is_own(report["url"]):
            return
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                await self._http.post(self._reports_to, json=report)
        except (SourceError, TimeoutError) as error:
            log.info("a report to MangaDex@Home was not taken: %s", type(error).__name__)

    async def send_reports(self) -> None:
        """Send what waits to be reported, for ever."""
        while True:
            await self._report_now(await self._reports.get())
            self._reports.task_done()

    async def reported(self) -> None:
        """Return when nothing waits to be reported."""
        await self._reports.join()

    def linked(self, address: str) -> Link | None:
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").removeprefix("www.")
        except ValueError:
            return None
        found = SITE_PATH.fullmatch(parts.path)
        if host != OWN_HOST or parts.scheme not in {"http", "https"} or parts.username or not found:
            return None
        what = "chapter_id" if found[1].lower() == "chapter" else "manga_id"
        return Link.model_validate({"source": self.name, what: found[2].lower()})

    async def check(self) -> None:
        answer = await self._http.ask(f"{self._api}/ping")
        if answer.status != httpx.codes.OK or b"pong" not in answer.body:
            raise self._http.failed(answer)

    def _check_id(self, some_id: str) -> None:
        if not UUID.fullmatch(some_id):
            raise NotFound(source=self.name)

    async def _get(self, path: str, params: Params, *, at_home: bool = False) -> Any:
        """The JSON behind a path. Raises `NotFound` as well."""
        limit = AT_HOME_LIMIT if at_home else None
        url = f"{self._api}{quote(path)}"
        try:
            try:
                return await self._http.json(url, params, headers=await self._account.headers(), limit=limit)
            except SourceFailed as error:
                if error.detail.get("status") != httpx.codes.UNAUTHORIZED or not self._account.is_set:
                    raise
                self._account.renew()
                return await self._http.json(url, params, headers=await self._account.headers(), limit=limit)
        except SourceFailed as error:
            if error.detail.get("status") == httpx.codes.NOT_FOUND:
                raise NotFound(source=self.name) from error
            raise

    def _manga(self, entity: answers.Entity) -> Manga:
        try:
            return answers.manga(entity, self.name)
        except ValidationError as error:
            raise SourceFailed("not the shape of a manga", source=self.name) from error

    def _chapters(self, entities: Sequence[answers.Entity]) -> tuple[Any, ...]:
        try:
            return answers.chapters(entities)
        except ValidationError as error:
            raise SourceFailed("not the shape of a chapter", source=self.name) from error

    def _chapter(self, entity: answers.Entity) -> Any:
        return self._chapters([entity])[0]


def _is_own(url: str) -> bool:
    """MangaDex's own servers are not part of MangaDex@Home, and want no reports."""
    host = urlsplit(url).hostname or ""
    return host == OWN_HOST or host.endswith(f".{OWN_HOST}")


def _filters(filters: Filters) -> list[tuple[str, str]]:
    ratings = filters.ratings or tuple(Rating)
    order = ORDERS.get(filters.order or Order.RELEVANCE)
    return [
        *(("availableTranslatedLanguage[]", code) for code in filters.languages),
        *(("originalLanguage[]", code) for code in filters.originals),
        *(("status[]", status) for status in filters.statuses),
        *(("contentRating[]", rating.value) for rating in ratings),
        *([("hasAvailableChapters", "true")] if filters.readable else []),
        *([(f"order[{order[0]}]", order[1])] if order else []),
    ]
