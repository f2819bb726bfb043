"""OPDS catalogs under the contract of all sources: one in Komga's shape, and the ways of the others."""

import base64
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from PIL import Image

from bot.settings import BotSettings
from tasks.errors import NoPages, NotFound, PageError, PageRefused, SourceFailed, SourceRefuses
from tasks.models import Page
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tests.tasks.sources.contract import HttpSourceContract, Known
from tests.web_server import Reply, WebServer

ATOM = "application/atom+xml;profile=opds-catalog;kind=acquisition"
SECRET = "0123456789abcdef-key"  # noqa: S105 - nobody's
SERIES = "/opds/v1.2/series/7"
MORE = f'<link rel="next" type="application/atom+xml" href="{SERIES}?page=1"/>'


def xml(text: str, content_type: str = "application/atom+xml") -> Reply:
    return Reply(f'<?xml version="1.0"?>{text}'.encode(), content_type=content_type)


def feed(*entries: str, title: str = "Harbour Lights", links: str = "") -> Reply:
    spaces = 'xmlns="http://www.w3.org/2005/Atom" xmlns:pse="http://vaemendis.net/opds-pse/ns" xmlns:dc="http://purl.org/dc/terms/"'
    return xml(f"<feed {spaces}><id>x</id><title>{title}</title>{links}{''.join(entries)}</feed>")


def leads_to(href: str, title: str = "Harbour Lights", rel: str = "subsection") -> str:
    link = f'<link rel="{rel}" type="{ATOM}" href="{href}"/>'
    return f"<entry><id>{href}</id><title>{title}</title><author><name>Mina K</name></author>{link}</entry>"


def book(number: str, pages: int = 2, root: str = "/opds/v1.2", query: str = "?convert=jpeg&amp;w={maxWidth}") -> str:
    stream = (
        f'<link rel="http://vaemendis.net/opds-pse/stream" type="image/jpeg" pse:count="{pages}" '
        f'href="{root}/books/{number}/pages/{{pageNumber}}{query}"/>'
    )
    whole = f'<link rel="http://opds-spec.org/acquisition" type="application/zip" href="{root}/books/{number}/file"/>'
    return (
        f"<entry><id>b{number}</id><title>Chapter {number}</title><dc:language>en</dc:language>{whole}{stream}</entry>"
    )


def picture() -> bytes:
    target = io.BytesIO()
    Image.effect_noise((60, 80), 50).save(target, "JPEG")
    return target.getvalue()


def chapter_id(number: str) -> str:
    return f"2 /opds/v1.2/books/{number}/pages/{{pageNumber}}?convert=jpeg&w={{maxWidth}}"


@pytest.fixture(scope="module")
def source_server() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


class TestOpds(HttpSourceContract):
    name = "home"
    some_id = "/opds/v1.2/series/99"
    known: ClassVar[Known] = Known(
        query="harbour",
        manga_id=SERIES,
        title="Harbour Lights",
        chapters=(("1", chapter_id("1")), ("2", chapter_id("2")), ("10.5", chapter_id("10.5")), ("11", "/b11")),
        elsewhere=("/b11",),
    )

    @pytest.fixture(autouse=True)
    def service(self, source_server: WebServer) -> WebServer:
        server = source_server
        server.reset()
        server.otherwise = Reply(b"", status=404)
        search = '<link rel="search" type="application/opensearchdescription+xml" href="/opds/v1.2/search"/>'
        server.on("/opds/v1.2/catalog", feed(links=search))
        template = (
            '<Url type="application/atom+xml" template="/opds/v1.2/series?search={searchTerms}&amp;p={startPage?}"/>'
        )
        description = (
            f'<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">{template}</OpenSearchDescription>'
        )
        server.on("/opds/v1.2/search", xml(description, "application/opensearchdescription+xml"))
        server.on("/opds/v1.2/series?search=harbour&p=", feed(leads_to("series/7")))
        server.on("/opds/v1.2/series?search=nobody-wrote-this&p=", feed())
        only_a_file = (
            "<entry><id>b11</id><title>Chapter 11</title>"
            '<link rel="http://opds-spec.org/acquisition" type="application/epub+zip" href="/f"/></entry>'
        )
        server.on(SERIES, feed(book("1"), book("2"), links=MORE))
        server.on(f"{SERIES}?page=1", feed(book("10.5"), only_a_file))
        for number in ("1", "2", "10.5"):
            for page in (0, 1):
                where = f"/opds/v1.2/books/{number}/pages/{page}?convert=jpeg&w=4096"
                server.on(where, Reply(picture(), content_type="image/jpeg"))
        return server

    @asynccontextmanager
    async def opened_at(self, url: str, address: str = "", name: str = "home") -> AsyncIterator[Source]:
        catalogs = f"{name}={address or f'{url}/opds/v1.2/catalog'}"
        more: dict[str, Any] = {"opds_catalogs": catalogs}
        async with open_sources(
            BotSettings(_env_file=None, mangadex_api_url="", source_rate_limit=1000, **more)
        ) as sources:
            yield sources.get(name)

    @pytest.fixture
    async def source(self, service: WebServer) -> AsyncIterator[Source]:
        async with self.opened_at(service.url) as opened:
            yield opened

    async def test_a_title_that_did_not_change_costs_no_more_than_to_ask(
        self, service: WebServer, source: Source
    ) -> None:
        paths = (SERIES, f"{SERIES}?page=1")
        for path, etag in zip(paths, ('"a"', 'W/"b"'), strict=True):
            [reply] = service.replies[path]
            service.on(path, replace(reply, headers={"ETag": etag}), Reply(status=304))
        before = await source.look(SERIES)
        service.requests.clear()
        assert (await source.look(SERIES, before.mark)).chapters is None
        assert [headers.get("If-None-Match") for _, headers in service.requests] == ['"a"', 'W/"b"']
        changed = feed(book("10.5"), book("12"))
        service.on(paths[1], replace(changed, headers={"ETag": '"c"'}))
        service.on(
            paths[0], Reply(status=304), replace(feed(book("1"), book("2"), links=MORE), headers={"ETag": '"a"'})
        )
        after = await source.look(SERIES, before.mark)
        assert after.chapters is not None
        assert [one.number for one in after.chapters] == ["1", "2", "10.5", "12"]
        assert after.mark != before.mark

    async def test_numbers_count_from_forty_in_their_order(self, source: Source) -> None:
        assert source.number == 40

    async def test_a_second_page_of_results_is_the_next_feed(self, service: WebServer, source: Source) -> None:
        more = '<link rel="next" type="application/atom+xml" href="?search=harbour&amp;n=2"/>'
        service.on("/opds/v1.2/series?search=harbour&p=", feed(leads_to("series/7"), links=more))
        service.on("/opds/v1.2/series?search=harbour&n=2", feed(leads_to("series/8", "Harbour Nights")))
        assert (await source.search("harbour")).has_more
        second = await source.search("harbour", 2)
        assert ([manga.title for manga in second.mangas], second.has_more) == (["Harbour Nights"], False)

    @pytest.mark.parametrize(
        ("user", "header", "value"),
        [
            ("mina:p%40ss", "Authorization", "Basic " + base64.b64encode(b"mina:p@ss").decode()),
            ("x-api-key:abc", "X-Api-Key", "abc"),
        ],
    )
    async def test_it_is_opened_by_a_password_or_a_key(
        self, service: WebServer, user: str, header: str, value: str
    ) -> None:
        address = service.url.replace("//", f"//{user}@") + "/opds/v1.2/catalog"
        async with self.opened_at(service.url, address) as source:
            await source.search("harbour")
            page = (await source.pages(chapter_id("1")))[0]
            async for _ in source.read(page):
                pass
        assert len(service.requests) == 4
        for _, headers in service.requests:
            assert {name.title(): value for name, value in headers.items()}[header.title()] == value

    async def test_a_wrong_password_is_told_as_that_and_logged_once(
        self, service: WebServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        service.reset()
        service.otherwise = Reply(b"", status=401)
        address = service.url.replace("//", "//mina:hunter2@") + "/opds/v1.2/catalog"
        async with self.opened_at(service.url, address) as source:
            await self._fails(source, SourceRefuses)
            with pytest.raises(SourceRefuses):
                await source.check()
            with pytest.raises(PageRefused):
                async for _ in source.read(Page(address="/opds/v1.2/books/1/pages/0")):
                    pass
            refused = len(service.requests)
        assert refused == 6  # none of them a second time
        assert caplog.messages == ["home does not accept our login (401): look at its entry in OPDS_CATALOGS"]

    async def test_a_key_in_the_path_is_in_no_id_and_in_no_address(self, service: WebServer) -> None:
        root = f"/api/opds/{SECRET}"
        search = f'<link rel="search" type="application/atom+xml" href="{root}/series?query={{searchTerms}}"/>'
        service.on(root, feed(links=search))
        service.on(f"{root}/series?query=harbour", feed(leads_to(f"{root}/series/1")))
        service.on(f"{root}/series/1", feed(leads_to(f"{root}/series/1/volume/1", "Volume 1")))
        volume = feed(book("1", root=root, query=f"?apiKey={SECRET}"))
        service.on(f"{root}/series/1/volume/1", volume)
        service.on(f"{root}/books/1/pages/0?apiKey={SECRET}", Reply(picture(), content_type="image/jpeg"))
        async with self.opened_at(service.url, service.url + root) as source:
            manga = (await source.search("harbour")).mangas[0]
            details = await source.details(manga.id)
            pages = await source.pages(details.chapters[0].id)
            assert b"".join([chunk async for chunk in source.read(pages[0])]).startswith(b"\xff\xd8")
        assert [one.number for one in details.chapters] == ["1"]
        assert SECRET not in repr((manga, details, pages))

    async def test_a_chapter_may_tell_its_pages_only_when_it_is_opened(
        self, service: WebServer, source: Source
    ) -> None:
        service.on("/opds/v1.2/series/8", feed(leads_to("/opds/v1.2/chapter/3", "Chapter 3 - Fog")))
        service.on("/opds/v1.2/chapter/3", feed(book("1")))
        service.on("/opds/v1.2/chapter/4", feed())
        chapter = (await source.details("/opds/v1.2/series/8")).chapters[0]
        assert (chapter.number, chapter.title, chapter.available) == ("3", "Fog", True)
        assert len(await source.pages(chapter.id)) == 2
        with pytest.raises(NoPages):
            await source.pages("/opds/v1.2/chapter/4")

    @pytest.mark.parametrize(
        "href", ["http://169.254.169.254/x", "//evil.example/x", "file:///etc/passwd", "http://[::1"]
    )
    async def test_a_catalog_leads_nowhere_else(self, service: WebServer, source: Source, href: str) -> None:
        service.on("/opds/v1.2/series?search=harbour&p=", feed(leads_to(href)))
        assert (await source.search("harbour")).mangas == ()

    @pytest.mark.parametrize("some_id", ["//evil.example/x", "/a/../b", "/%2e%2e/x", "/a b", "/a\\b", "/a#b", "x"])
    async def test_forged_ids_are_refused(self, source: Source, some_id: str) -> None:
        for asking in (source.details, source.pages):
            with pytest.raises(NotFound):
                await asking(some_id)
        with pytest.raises(PageError):
            async for _ in source.read(Page(address=some_id)):
                pass

    async def test_a_book_of_no_series_is_a_title_of_one_chapter(self, service: WebServer, source: Source) -> None:
        service.on("/opds/v1.2/series?search=harbour&p=", feed(book("1")))
        manga = (await source.search("harbour")).mangas[0]
        details = await source.details(manga.id)
        assert (details.manga.title, [one.id for one in details.chapters]) == ("Chapter 1", [chapter_id("1")])
        assert len(await source.pages(details.chapters[0].id)) == 2

    async def test_bombs_are_no_feeds(self, service: WebServer, source: Source) -> None:
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x"}">' for n in range(12))
        service.on(SERIES, xml(f"<!DOCTYPE feed [{entities}]><feed xmlns='http://www.w3.org/2005/Atom'>&e11;</feed>"))
        with pytest.raises(SourceFailed):
            await source.details(SERIES)

    async def test_a_list_that_never_ends_is_ended(self, service: WebServer, source: Source) -> None:
        service.on(SERIES, feed(book("1"), links=f'<link rel="next" type="{ATOM}" href="{SERIES}"/>'))
        assert [one.number for one in (await source.details(SERIES)).chapters] == ["1"]
