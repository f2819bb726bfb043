"""The one contract of all sources, as tests: every adapter has a subclass that says where its things are."""

import io
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import stamina
from PIL import Image

from tasks.errors import PageError, SourceDown, SourceError, SourceFailed
from tasks.models import SearchPage
from tasks.sources.http import ATTEMPTS
from tasks.sources.source import Source
from tests.web_server import Reply, WebServer, as_json

ODD_TEXTS = (
    "",
    "   ",
    ".",
    "..",
    "../../etc/passwd",
    "%",
    "%2F..%2F",
    "a/b?c=d&e=f#g",
    "info",
    "read",
    "<b>&amp;",
    "\x00\n\t\x7f",
    "猫の手 🐈",
    "x" * 5000,
)


@dataclass(frozen=True)
class Known:
    """What the source under test has: a manga, and its chapters in reading order as (number, id)."""

    query: str
    manga_id: str
    title: str
    chapters: tuple[tuple[str | None, str], ...]
    elsewhere: tuple[str, ...] = ()
    """Ids of those that the source only lists."""
    nobody: str = "nobody-wrote-this"


class SourceContract(ABC):
    """What `tasks/sources/source.py` promises."""

    name: ClassVar[str]
    known: ClassVar[Known]
    some_id: ClassVar[str] = "something"
    """One that looks like an id of the source."""

    @pytest.fixture
    @abstractmethod
    def source(self) -> AsyncIterator[Source]:
        """The source, with everything of `known` in it."""

    async def test_a_title_is_found(self, source: Source) -> None:
        found = await source.search(self.known.query)
        manga = next(manga for manga in found.mangas if manga.id == self.known.manga_id)
        assert manga.source == source.name == self.name
        assert manga.title

    async def test_nothing_found_is_no_error(self, source: Source) -> None:
        assert await source.search(self.known.nobody) == SearchPage(mangas=())

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
    async def test_odd_texts_are_only_texts(self, source: Source, text: str) -> None:
        for asking in (source.search, source.details, source.pages, source.look):
            told = await _answer_or_error(asking(text))
            assert isinstance(told, SearchPage) or (
                isinstance(told, SourceError) and told.detail["source"] == self.name
            )
        assert not await source.marks([text])

    async def test_chapters_come_in_reading_order_without_doubles(self, source: Source) -> None:
        details = await source.details(self.known.manga_id)
        assert details.manga.title == self.known.title
        assert tuple((chapter.number, chapter.id) for chapter in details.chapters) == self.known.chapters
        for chapter in details.chapters:
            assert chapter.number is None or str(Decimal(chapter.number)) == chapter.number
            assert chapter.label
        assert tuple(chapter.id for chapter in details.chapters if not chapter.available) == self.known.elsewhere

    async def test_a_look_lists_what_is_there_and_the_next_one_what_changed(self, source: Source) -> None:
        listing = await source.look(self.known.manga_id)
        assert listing.chapters == (await source.details(self.known.manga_id)).chapters
        again = await source.look(self.known.manga_id, listing.mark)
        assert again.chapters in (None, listing.chapters)
        assert again.mark == listing.mark

    async def test_ids_go_back_in_as_they_came_out(self, source: Source) -> None:
        chapters = (await source.details(self.known.manga_id)).chapters
        for chapter in (one for one in chapters if one.available):
            for page in await source.pages(chapter.id):
                picture = b"".join([chunk async for chunk in source.read(page)])
                with Image.open(io.BytesIO(picture)) as opened:
                    opened.load()

    async def test_chapters_are_located_by_their_ids_in_the_order_given(self, source: Source) -> None:
        ids = [chapter_id for _, chapter_id in reversed(self.known.chapters)]
        located = await source.locate(ids)
        assert [chapter.id for chapter in located.chapters] == ids
        assert located.manga.title
        assert located.manga.source == self.name

    async def test_what_is_not_there_is_an_error_of_the_source(self, source: Source) -> None:
        for asking in (source.details, source.pages, source.look):
            with pytest.raises(SourceError) as told:
                await asking(self.known.nobody)
            assert told.value.detail["source"] == self.name

    async def test_it_says_that_it_is_up(self, source: Source) -> None:
        await source.check()

    async def test_it_asks_for_a_second_page_of_results(self, source: Source) -> None:
        assert isinstance(await source.search(self.known.query, 2), SearchPage)

    async def test_a_forged_page_is_refused(self, source: Source) -> None:
        page = (await source.pages(self.known.chapters[0][1]))[0]
        for address in ("file:///etc/passwd", "", "demo:../1/1", "http://[::1", "http://127.0.0.1:1/x", "http://\x00/"):
            with pytest.raises(PageError) as told:
                async for _ in source.read(page.model_copy(update={"address": address})):
                    pass
            assert told.value.detail["source"] == self.name


async def _answer_or_error(asking: Coroutine[Any, Any, object]) -> object:
    try:
        return await asking
    except SourceError as error:
        return error


class HttpSourceContract(SourceContract):
    """What a source that is asked over HTTP promises besides; `source_server` is in its service's place."""

    @abstractmethod
    def opened_at(self, url: str) -> AbstractAsyncContextManager[Source]:
        """The source, with its service at that address."""

    @pytest.fixture(autouse=True)
    def no_waiting(self) -> Iterator[None]:
        """Tries again at once, as often as in life."""
        with stamina.set_testing(testing=True, attempts=ATTEMPTS):
            yield

    @pytest.fixture
    def silent_port(self) -> int:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return int(taken.getsockname()[1])

    async def _fails(self, source: Source, kind: type[SourceError]) -> None:
        for asking in (source.search, source.details, source.pages, source.look):
            with pytest.raises(kind) as told:
                await asking(self.some_id)
            assert told.value.detail["source"] == self.name

    @pytest.mark.parametrize(
        "answer",
        [
            as_json({"message": "Something went wrong. Please try again later."}, 500),
            Reply(b"<html>It works!</html>", content_type="text/html"),
            Reply(b'{"results": [', content_type="application/json"),
            Reply(b"", content_type="application/json"),
            Reply(b"", status=302, headers={"Location": "/apidemo"}),
            Reply(json.dumps([[[]]] * 3).encode()),
            as_json({"results": {"id": 7}, "chapters": "none", "id": []}),
            as_json("a text"),
            Reply(b"[" * 100_000),
        ],
        ids=["500", "html", "cut-json", "empty", "302", "lists", "other-shape", "text", "deep"],
    )
    async def test_nonsense_is_told_apart_from_nothing_found(
        self, source_server: WebServer, source: Source, answer: Reply
    ) -> None:
        source_server.reset()
        source_server.otherwise = answer
        await self._fails(source, SourceFailed)

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    async def test_overload_is_asked_again_and_then_told(
        self, source_server: WebServer, source: Source, status: int
    ) -> None:
        source_server.reset()
        source_server.otherwise = Reply(b"busy", status=status, headers={"Retry-After": "0"})
        await self._fails(source, SourceDown)
        assert len(source_server.requests) == 4 * ATTEMPTS

    async def test_a_second_try_that_helps_is_not_told(self, source_server: WebServer, source: Source) -> None:
        for path, replies in list(source_server.replies.items()):
            source_server.on(path, Reply(b"", status=503, headers={"Retry-After": "0"}), *replies)
        assert (await source.search(self.known.query)).mangas
        assert (await source.details(self.known.manga_id)).chapters

    async def test_who_asks_says_so(self, source_server: WebServer, source: Source) -> None:
        await source.search(self.known.query)
        assert all(headers["User-Agent"].startswith("ManhwaDownloader/") for _, headers in source_server.requests)

    async def test_a_broken_connection_is_a_source_that_is_down(self, source_server: WebServer, source: Source) -> None:
        source_server.reset()
        source_server.otherwise = Reply(b'{"results": []}', cut=4)
        await self._fails(source, SourceDown)

    async def test_nobody_there_is_a_source_that_is_down(self, silent_port: int) -> None:
        async with self.opened_at(f"http://127.0.0.1:{silent_port}") as source:
            await self._fails(source, SourceDown)
            with pytest.raises(SourceDown):
                await source.check()


def all_contracts(kind: type[SourceContract] = SourceContract) -> set[str]:
    """The names of all sources that have a contract test."""
    return {kind.name} if hasattr(kind, "name") else set().union(*map(all_contracts, kind.__subclasses__()))
