"""Manga providers behind a self-hosted Consumet API (`MANGAPI_URL`)."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
from pydantic import ValidationError

from tasks.errors import NoPages, NotFound, SourceFailed
from tasks.models import (
    LONGEST_ID,
    NO_FILTERS,
    Chapter,
    Filters,
    Link,
    Listing,
    Manga,
    MangaDetails,
    Page,
    Quality,
    SearchPage,
)
from tasks.sources import consumet_answers as answers
from tasks.sources.fields import parsed
from tasks.sources.http import Answer, SourceHttp, is_as_it_was, unless
from tasks.sources.source import Expect, nothing, one_line

ROUTES = {"info", "read"}
"""Words that the API takes for one of its routes instead of a search."""
STEPS = {".", ".."}
"""Steps within a path, however they are escaped: what they lead to is not what was asked for."""
NOT_FOUND_WORDS = ("status code 404", "not found")


@dataclass(frozen=True)
class Provider:
    """One segment below `/manga` of the API, and how it differs from the others."""

    segment: str
    number: int
    name: str
    page_size: int | None = None
    """Pages of results are this long, and a shorter one is the last; None = see `pages_results`."""
    pages_results: bool = True
    ids_in_path: bool = False
    unencoded: str = ""
    """Characters the provider puts into its own request as they are, where they mean something else."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent for images where the API does not say what to send."""
    one_per_number: bool = False
    manga_address: str = ""
    """Where people find a manga, with `{id}` for its id."""
    chapter_address: str = ""
    site: str = ""
    """Host of its site, to which addresses that people copy lead."""
    manga_path: str = ""
    """Pattern of a manga's path there; its group is the id."""
    chapter_path: str = ""


PROVIDERS = (
    Provider(
        "mangadex",
        0,
        "mangadex",
        page_size=20,
        ids_in_path=True,
        one_per_number=True,
        manga_address="https://mangadex.org/title/{id}",
        chapter_address="https://mangadex.org/chapter/{id}",
        site="mangadex.org",
        manga_path=r"/title/([0-9a-f-]{36})(?:/.*)?",
        chapter_path=r"/chapter/([0-9a-f-]{36})(?:/.*)?",
    ),
    Provider(
        "mangahere",
        7,
        "mangahere",
        unencoded="#&%",
        manga_address="https://www.mangahere.cc/manga/{id}/",
        site="mangahere.cc",
        manga_path=r"/manga/([^/]+)/?",
        chapter_path=r"/manga/([^/]+(?:/v[^/]+)?/c[\d.]+)/(?:\d+\.html)?",
    ),
    Provider(
        "mangapill",
        8,
        "mangapill",
        pages_results=False,
        headers={"Referer": "https://mangapill.com/"},
        manga_address="https://mangapill.com/manga/{id}",
        site="mangapill.com",
        manga_path=r"/manga/(\d+/[^/]+)/?",
        chapter_path=r"/chapters/(\d+-\d+/[^/]+)/?",
    ),
    Provider(
        "mangakakalot",
        11,
        "mangakakalot",
        manga_address="https://www.mangakakalot.gg/manga/{id}",
        site="mangakakalot.gg",
        manga_path=r"/manga/([^/]+)/?",
        chapter_path=r"/manga/([^/]+/chapter-[^/]+)/?",
    ),
    Provider(
        "managreader",
        12,
        "mangareader",
        pages_results=False,
        manga_address="https://mangareader.to/{id}",
        site="mangareader.to",
        manga_path=r"/([^/]+-\d+)/?",
        chapter_path=r"/read/([^/]+-\d+/[a-z]{2}/chapter-[^/]+)/?",
    ),
)


def _host_and_path(address: str) -> tuple[str, str]:
    """Of an http address; empty for any other text."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in {"http", "https"} and not parts.username
    except ValueError:
        return "", ""
    return (parts.hostname or "", unquote(parts.path)) if known else ("", "")


class Consumet:
    """One provider of a Consumet API as a source."""

    has_smaller = False
    at_once = 0
    is_local = False

    def __init__(self, http: SourceHttp, base_url: str, provider: Provider) -> None:
        self._http = http
        self._api = base_url
        self._root = f"{base_url}/manga/{provider.segment}"
        self._provider = provider

    @property
    def number(self) -> int:
        return self._provider.number

    @property
    def name(self) -> str:
        return self._provider.name

    async def search(self, query: str, page: int = 1, filters: Filters = NO_FILTERS, /) -> SearchPage:
        text = self._searchable(query)
        if not text or (page > 1 and not self._provider.pages_results):
            return SearchPage(mangas=())
        answer = await self._http.json(f"{self._root}/{quote(text, safe='')}", {"page": str(page)})
        found = parsed(answers.SearchAnswer, answer, self.name)
        address = self._provider.manga_address
        mangas = [answers.manga(one, self.name, one.id, address) for one in found.results if one.id]
        return SearchPage(mangas=tuple(filter(filters.fit, mangas)), has_more=self._has_more(found))

    def _searchable(self, query: str) -> str:
        text = one_line("".join(" " if c in self._provider.unencoded else c for c in query))
        if text in STEPS:
            return ""
        # The API would take the bare word for a route; the sites find the same for it in capitals.
        return text.upper() if text in ROUTES else text

    def _has_more(self, found: answers.SearchAnswer) -> bool:
        if not self._provider.pages_results or not found.results:
            return False
        if self._provider.page_size:
            return len(found.results) >= self._provider.page_size
        return bool(found.has_next)

    async def details(self, manga_id: str) -> MangaDetails:
        answer = self._info(await self._answer("info", "id", manga_id))
        manga = answers.manga(answer, self.name, manga_id, self._provider.manga_address)
        return MangaDetails(manga=manga, chapters=self._chapters(answer))

    def _info(self, answer: Answer) -> answers.InfoAnswer:
        return parsed(answers.InfoAnswer, self._decoded(answer), self.name)

    def _chapters(self, answer: answers.InfoAnswer) -> tuple[Chapter, ...]:
        return answers.chapters(
            answer.chapters,
            one_per_number=self._provider.one_per_number,
            address=self._provider.chapter_address,
        )

    async def marks(self, _manga_ids: Sequence[str], /) -> Mapping[str, str]:
        return {}

    async def look(self, manga_id: str, mark: str = "", /) -> Listing:
        answer = await self._answer("info", "id", manga_id, unless(mark))
        if is_as_it_was(answer, mark):
            return Listing(chapters=None, mark=mark)
        return Listing(chapters=self._chapters(self._info(answer)), mark=answer.mark)

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        """The API has no look-up by chapter id: title and numbers are read off the ids."""
        return MangaDetails(
            manga=Manga(source=self.name, id=chapter_ids[0], title=answers.title_of_id(chapter_ids[0])),
            chapters=tuple(answers.chapter_of_id(chapter_id) for chapter_id in chapter_ids),
        )

    async def pages(self, chapter_id: str, _quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        items = await self._ask("read", "chapterId", chapter_id)
        if not isinstance(items, list):
            raise SourceFailed("no list of pages", source=self.name)
        if not items:
            raise NoPages(source=self.name)
        try:
            found = answers.parse_list(items)
        except ValidationError as error:
            raise SourceFailed("not the shape of a page list", source=self.name) from error
        return tuple(answers.page(one, self._api, self._provider.headers) for one in found)

    def read(self, page: Page, expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        return self._http.read(page, expect)

    def linked(self, address: str) -> Link | None:
        host, path = _host_and_path(address)
        if not self._provider.site or host.removeprefix("www.") != self._provider.site:
            return None
        for pattern, what in ((self._provider.chapter_path, "chapter_id"), (self._provider.manga_path, "manga_id")):
            if (found := re.fullmatch(pattern, path)) and len(found[1]) <= LONGEST_ID and found[1] not in STEPS:
                return Link.model_validate({"source": self.name, what: found[1]})
        return None

    async def check(self) -> None:
        # The provider's own introduction: it asks nothing of the site behind it.
        await self._http.json(self._root)

    async def _ask(self, route: str, parameter: str, some_id: str) -> Any:
        return self._decoded(await self._answer(route, parameter, some_id))

    async def _answer(
        self, route: str, parameter: str, some_id: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Info or read."""
        if some_id in STEPS:
            raise NotFound(source=self.name)
        if self._provider.ids_in_path:
            return await self._http.ask(f"{self._root}/{route}/{quote(some_id, safe='')}", headers=headers)
        return await self._http.ask(f"{self._root}/{route}", {parameter: some_id}, headers=headers)

    def _decoded(self, answer: Answer) -> Any:
        """Of the errors it can give, only the older generation of the API says "not found"."""
        try:
            return self._http.decoded(answer)
        except SourceFailed as error:
            said = str(error.detail.get("said", "")).lower()
            if error.detail.get("status") == httpx.codes.NOT_FOUND and any(word in said for word in NOT_FOUND_WORDS):
                raise NotFound(source=self.name) from error
            raise
