"""Catalogs that speak OPDS 1.2 with page streaming (`OPDS_CATALOGS`): Komga, Kavita, Suwayomi, Codex, LANraragi and others.

Ids are addresses below the catalog's host without what is secret in them:

    <path>            of a feed: a title, or a chapter whose feed tells its pages
    <count> <path>    of a chapter: how many pages it has, and the path of one, with `{pageNumber}` in it
"""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import httpx

from tasks.chapters import NUMBER, in_reading_order, named_chapter
from tasks.errors import NoPages, NotFound, PageForbidden, PageGone, PageRefused, SourceFailed, SourceRefuses
from tasks.models import (
    LONGEST_ID,
    NO_FILTERS,
    Chapter,
    Filters,
    Listing,
    Manga,
    MangaDetails,
    Page,
    Quality,
    SearchPage,
)
from tasks.setting_values import Catalog
from tasks.sources.http import Answer, SourceHttp, is_as_it_was, unless
from tasks.sources.opds_feed import TERMS, Entry, Feed, NoFeed, read_description, read_feed
from tasks.sources.source import Expect, nothing, one_line

log = logging.getLogger(__name__)

FIRST_NUMBER = 40
PAGE_NUMBER = "{pageNumber}"
PAGED = re.compile(r"(\d{1,4}) (/\S+)")
UNUSED = re.compile(r"\{\w+\??\}")
WIDEST = "4096"
KEY_LENGTH = 12
"""Parts of the catalog's path that are this long are keys."""
API_KEY = "x-api-key"
MOST_BOOKS = 1000
LONGEST_MARK = 4000
MOST_FEEDS = 40
"""A title may be told in so many feeds: pages of its list, and lists of its volumes."""


@dataclass
class _Listed:
    """What the feeds of a title list, and of each its id and what it said of its state."""

    title: str = ""
    chapters: list[Chapter] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def in_order(self) -> tuple[Chapter, ...]:
        unique = {one.id: one for one in self.chapters}
        return tuple(in_reading_order(list(reversed(unique.values()))))

    @property
    def mark(self) -> str:
        text = json.dumps(self.marks) if all(some_id and mark for some_id, mark in self.marks) else ""
        return text if len(text) <= LONGEST_MARK else ""


class Opds:
    """One catalog as a source."""

    has_smaller = False
    at_once = 0
    is_local = False

    def __init__(self, http: SourceHttp, catalog: Catalog, number: int) -> None:
        parts = urlsplit(catalog.address.get_secret_value())
        self.number = number
        self.name = catalog.name
        self._http = http
        self._origin = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
        self._root = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._headers = _key_headers(unquote(parts.username or ""), unquote(parts.password or ""))
        self._keys = _keys(parts.path, parts.query)
        self._template: str | None = None
        self._books: dict[str, str] = {}
        """Names of the latest books that a search found outside of any series, by id; their ids do not tell them."""
        self._asking = asyncio.Lock()
        self._refused = False

    async def search(self, query: str, page: int = 1, _filters: Filters = NO_FILTERS, /) -> SearchPage:
        text = one_line(query)
        if not text:
            return SearchPage(mangas=())
        address = await self._search_address()
        feed = Feed("", ())
        path = self._path(address.replace(TERMS, quote(text, safe=""))) if address else ""
        for _ in range(page):
            if not path:
                return SearchPage(mangas=())
            feed = await self._feed(path)
            path = self._path(feed.next)
        mangas = [manga for entry in feed.entries if (manga := self._manga(entry))]
        return SearchPage(mangas=tuple({manga.id: manga for manga in mangas}.values()), has_more=bool(path))

    async def _search_address(self) -> str:
        """Where the catalog can be searched, with `{searchTerms}` in it."""
        async with self._asking:
            if self._template is None:
                feed = await self._feed(self._root)
                self._template = feed.search
                if not feed.search and (path := self._path(feed.description)):
                    try:
                        self._template = read_description((await self._get(path)).body, f"{self._origin}{path}")
                    except NoFeed as error:
                        raise SourceFailed("no description of its search", source=self.name) from error
        if not self._template:
            raise SourceFailed("it can't be searched", source=self.name)
        return UNUSED.sub(lambda found: found[0] if found[0] == TERMS else "", self._template)

    def _manga(self, entry: Entry) -> Manga | None:
        """A title; None for what leads nowhere that can be told as an id."""
        some_id = self._id(self._path(entry.feed)) if entry.feed else self._chapter_id(entry)
        if not some_id:
            return None
        if not entry.feed:
            self._note_book(some_id, entry.title)
        return Manga(
            source=self.name,
            id=some_id,
            title=entry.title or some_id,
            authors=entry.authors,
            description=entry.summary,
            languages=(entry.language,) if entry.language else (),
        )

    def _note_book(self, some_id: str, title: str) -> None:
        self._books.pop(some_id, None)
        self._books[some_id] = title
        if len(self._books) > MOST_BOOKS:
            del self._books[next(iter(self._books))]

    async def details(self, manga_id: str) -> MangaDetails:
        if PAGED.fullmatch(manga_id):  # a book that belongs to no series
            return await self.locate([manga_id])
        listed = await self._read_all(self._restored(manga_id))
        manga = Manga(
            source=self.name, id=manga_id, title=listed.title or manga_id, languages=_languages(listed.chapters)
        )
        return MangaDetails(manga=manga, chapters=listed.in_order)

    async def _read_all(self, path: str) -> "_Listed":
        """What the feed lists, its following pages, and the lists of volumes in it, as far as `MOST_FEEDS` go."""
        found = _Listed()
        waiting = [path]
        while waiting and len(found.marks) < MOST_FEEDS:
            one = waiting.pop(0)
            answer = await self._get(one)
            feed = self._read_feed(answer, one)
            found.title = found.title if found.marks else feed.title
            found.marks.append((self._id(one), answer.mark))
            for entry in feed.entries:
                below = self._path(entry.feed)
                if below and not entry.stream and not NUMBER.search(entry.title):
                    waiting.append(below)
                elif chapter := self._chapter(entry):
                    found.chapters.append(chapter)
            if following := self._path(feed.next):
                waiting.insert(0, following)
        return found

    def _chapter(self, entry: Entry) -> Chapter | None:
        """A chapter; one that is only to be had as a whole file is not available."""
        some_id = self._chapter_id(entry) or self._id(self._path(entry.feed))
        if not some_id and entry.is_file:
            some_id = self._id(f"/{quote(entry.id or entry.title, safe='')}")
        if not some_id:
            return None
        named = named_chapter(some_id, entry.title)
        readable = bool(entry.stream or entry.feed)
        return named.model_copy(update={"language": entry.language, "available": readable})

    def _chapter_id(self, entry: Entry) -> str:
        path = self._path(entry.stream)
        return self._id(f"{entry.pages} {path}") if path and PAGE_NUMBER in path else ""

    async def marks(self, _manga_ids: Sequence[str], /) -> Mapping[str, str]:
        return {}

    async def look(self, manga_id: str, mark: str = "", /) -> Listing:
        if PAGED.fullmatch(manga_id):
            return Listing(chapters=(await self.locate([manga_id])).chapters)
        if await self._is_as_it_was(mark):
            return Listing(chapters=None, mark=mark)
        listed = await self._read_all(self._restored(manga_id))
        return Listing(chapters=listed.in_order, mark=listed.mark)

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        """The catalog has no look-up by id: title and numbers are read off the paths."""
        first = PAGED.fullmatch(chapter_ids[0])
        words = [word for word in (first[2] if first else chapter_ids[0]).split("/") if word and "{" not in word]
        title = self._books.get(chapter_ids[0]) or unquote(max(words, key=len, default=chapter_ids[0]))
        manga = Manga(source=self.name, id=chapter_ids[0], title=title or self.name)
        return MangaDetails(manga=manga, chapters=tuple(Chapter(id=one, title=title) for one in chapter_ids))

    async def pages(self, chapter_id: str, _quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        if paged := PAGED.fullmatch(chapter_id):
            return self._pages_at(int(paged[1]), paged[2])
        feed = await self._feed(self._restored(chapter_id))
        readable = [PAGED.fullmatch(self._chapter_id(entry)) for entry in feed.entries]
        pages = [page for one in readable if one for page in self._pages_at(int(one[1]), one[2])]
        if not pages:
            raise NoPages(source=self.name)
        return tuple(pages)

    def _pages_at(self, count: int, path: str) -> tuple[Page, ...]:
        if not count or PAGE_NUMBER not in path:
            raise NoPages(source=self.name)
        filled = UNUSED.sub(_filled, path)
        return tuple(Page(address=filled.replace(PAGE_NUMBER, str(number))) for number in range(count))

    async def read(self, page: Page, expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        try:
            path = self._restored(page.address)
        except NotFound:
            raise PageForbidden(source=self.name) from None
        async with aclosing(
            self._http.read(Page(address=f"{self._origin}{path}", headers=self._headers), expect)
        ) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except PageGone as error:
                if error.detail.get("status") == httpx.codes.UNAUTHORIZED:
                    self._tell_of_refusal()
                    raise PageRefused(source=self.name) from None
                raise

    def linked(self, address: str) -> None:
        """Addresses of people's own servers are not passed around."""

    async def check(self) -> None:
        await self._feed(self._root)

    async def _feed(self, path: str) -> Feed:
        return self._read_feed(await self._get(path), path)

    def _read_feed(self, answer: Answer, path: str) -> Feed:
        try:
            return read_feed(answer.body, f"{self._origin}{path}")
        except NoFeed as error:
            raise SourceFailed("no feed", source=self.name) from error

    async def _is_as_it_was(self, mark: str) -> bool:
        """Whether all feeds of a title are as they were at that mark."""
        if not mark:
            return False
        for some_id, before in json.loads(mark):
            headers = {**self._headers, **unless(before)}
            answer = await self._http.ask(f"{self._origin}{self._restored(some_id)}", headers=headers)
            if not is_as_it_was(answer, before):
                return False
        return True

    async def _get(self, path: str) -> Answer:
        """What the path of the catalog's host answers. Raises `NotFound` and `SourceRefuses` as well."""
        answer = await self._http.ask(f"{self._origin}{path}", headers=self._headers)
        if answer.status == httpx.codes.UNAUTHORIZED:
            self._tell_of_refusal()
            raise SourceRefuses(source=self.name)
        self._refused = False
        if answer.status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
            raise NotFound(source=self.name)
        if answer.status != httpx.codes.OK:
            raise self._http.failed(answer)
        return answer

    def _tell_of_refusal(self) -> None:
        if not self._refused:
            log.warning("%s does not accept our login (401): look at its entry in OPDS_CATALOGS", self.name)
        self._refused = True

    def _path(self, address: str) -> str:
        """The path of an address at the catalog's own host; empty for any other, which is never asked."""
        parts = urlsplit(address)
        if not address or urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", "")) != self._origin:
            return ""
        return urlunsplit(("", "", parts.path or "/", parts.query, ""))

    def _id(self, path: str) -> str:
        """The path without the catalog's keys; empty where it is too long for an id."""
        for number, key in enumerate(self._keys):
            path = path.replace(key, f"{{key{number}}}")
        return path if len(path) <= LONGEST_ID and " /" not in path.lstrip("0123456789 ") else ""

    def _restored(self, some_id: str) -> str:
        """The path of an id. Raises `NotFound` for what is none of this catalog."""
        steps = unquote(some_id.partition("?")[0]).split("/")
        if not some_id.startswith("/") or some_id.startswith("//") or not some_id.isprintable() or " " in some_id:
            raise NotFound(source=self.name)
        if {".", ".."} & set(steps) or "\\" in some_id or "#" in some_id:
            raise NotFound(source=self.name)
        for number, key in enumerate(self._keys):
            some_id = some_id.replace(f"{{key{number}}}", key)
        return some_id


def _filled(found: re.Match[str]) -> str:
    if found[0] == PAGE_NUMBER or found[0].startswith("{key"):
        return found[0]
    return WIDEST if found[0] == "{maxWidth}" else ""


def _key_headers(user: str, password: str) -> dict[str, str]:
    if user.lower() == API_KEY:
        return {"X-API-Key": password}
    if not user and not password:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _keys(path: str, query: str) -> list[str]:
    """What of the catalog's address is secret, as some hold a key there: long parts of the path, values of the query."""
    parts = [part for part in path.split("/") if len(part) >= KEY_LENGTH]
    return sorted({*parts, *(value for _, value in parse_qsl(query) if value)}, key=len, reverse=True)


def _languages(chapters: Iterable[Chapter]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.language for one in chapters if one.language))
