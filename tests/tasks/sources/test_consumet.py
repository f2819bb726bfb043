"""Consumet's providers under the contract of all sources, with answers in the shapes the real ones have."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from PIL import Image

from bot.settings import BotSettings
from tasks.errors import NoPages, NotFound, SourceFailed
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tests.tasks.sources.contract import ODD_TEXTS, HttpSourceContract, Known
from tests.web_server import Reply, WebServer, as_json

SAMPLES = Path(__file__).parents[2] / "samples" / "consumet"


def picture() -> bytes:
    target = io.BytesIO()
    Image.effect_noise((60, 80), 50).save(target, "JPEG")
    return target.getvalue()


class ConsumetContract(HttpSourceContract):
    segment: ClassVar[str]
    referer: ClassVar[str | None] = None
    ids_in_path = False

    def sample(self, kind: str, images: str = "") -> Any:
        return json.loads((SAMPLES / self.segment / f"{kind}.json").read_text().replace("IMAGE", images))

    def path(self, kind: str, some_id: str) -> str:
        id_as_one_segment = quote(some_id, safe="")
        if self.ids_in_path:
            return f"/manga/{self.segment}/{kind}/{id_as_one_segment}"
        return f"/manga/{self.segment}/{kind}?{'id' if kind == 'info' else 'chapterId'}={id_as_one_segment}"

    def searched(self, text: str, page: int = 1) -> str:
        return f"/manga/{self.segment}/{quote(text, safe='')}?page={page}"

    @pytest.fixture(autouse=True)
    def service(self, source_server: WebServer) -> WebServer:
        source_server.reset()
        source_server.on(f"/manga/{self.segment}", as_json({"intro": "Welcome", "routes": []}))
        source_server.on(self.searched(self.known.query), as_json(self.sample("search")))
        for page in (1, 2):
            source_server.on(self.searched(self.known.nobody, page), as_json({"currentPage": page, "results": []}))
            source_server.on(self.searched(self.known.query, page + 1), as_json({"results": []}))
        source_server.on(self.path("info", self.known.manga_id), as_json(self.sample("info")))
        for _, chapter_id in self.known.chapters:
            source_server.on(self.path("read", chapter_id), as_json(self.sample("read", f"{source_server.url}/image")))
        for number in (1, 2, 3):
            source_server.on(f"/image/{number}.jpg", Reply(picture(), content_type="image/jpeg"))
        return source_server

    @pytest.mark.parametrize(
        ("name", "value", "asked"),
        [("ETag", '"v1"', "If-None-Match"), ("Last-Modified", "Wed, 25 Nov 2026 07:00:00 GMT", "If-Modified-Since")],
    )
    async def test_a_title_that_did_not_change_is_not_sent_again_where_the_server_can(
        self, service: WebServer, source: Source, name: str, value: str, asked: str
    ) -> None:
        path = self.path("info", self.known.manga_id)
        whole = replace(as_json(self.sample("info")), headers={name: value})
        service.on(path, whole, Reply(status=304), whole)
        before = await source.look(self.known.manga_id)
        assert before.mark == value
        assert (await source.look(self.known.manga_id, before.mark)).chapters is None
        again = await source.look(self.known.manga_id, before.mark)
        # Sent again all the same: that it is as it was only an ETag says for certain.
        assert again.chapters == (None if name == "ETag" else before.chapters)
        assert [headers.get(asked) for _, headers in service.requests] == [None, value, value]

    async def test_an_odd_etag_is_not_kept(self, service: WebServer, source: Source) -> None:
        odd = replace(as_json(self.sample("info")), headers={"ETag": '"v-é"'})
        service.on(self.path("info", self.known.manga_id), odd)
        assert (await source.look(self.known.manga_id)).mark == ""

    @asynccontextmanager
    async def opened_at(self, url: str) -> AsyncIterator[Source]:
        settings = BotSettings(
            _env_file=None,
            mangadex_api_url="",
            mangapi_url=url,
            consumet_providers=(self.segment,),
            source_rate_limit=1000,
        )
        async with open_sources(settings) as sources:
            yield sources.get(self.name)

    @pytest.fixture
    async def source(self, service: WebServer) -> AsyncIterator[Source]:
        async with self.opened_at(service.url) as opened:
            yield opened

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
    async def test_a_searched_text_stays_one_segment_of_the_path(
        self, service: WebServer, source: Source, text: str
    ) -> None:
        service.otherwise = as_json({"currentPage": 1, "results": []})
        assert (await source.search(text)).mangas == ()
        for path, _ in service.requests:
            *before, segment = path.partition("?")[0].split("/")
            assert before == ["", "manga", self.segment]
            assert segment not in {"", ".", "..", "info", "read"}
            assert len(path) < 3000

    async def test_pages_keep_the_order_of_the_list_and_carry_their_referer(
        self, service: WebServer, source: Source
    ) -> None:
        pages = await source.pages(self.known.chapters[0][1])
        assert [page.address for page in pages] == [f"{service.url}/image/{n}.jpg" for n in (1, 2, 3)]
        async for _ in source.read(pages[0]):
            pass
        path, headers = service.requests[-1]
        assert path == "/image/1.jpg"
        assert headers.get("Referer") == self.referer

    async def test_a_chapter_that_is_hosted_elsewhere_has_no_pages(self, service: WebServer, source: Source) -> None:
        service.on(self.path("read", "elsewhere"), as_json([]))
        with pytest.raises(NoPages):
            await source.pages("elsewhere")

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (as_json({"message": "Something went wrong. Please try again later."}, 500), SourceFailed),
            (as_json({"message": "Something went wrong. Contact developer for help."}, 500), SourceFailed),
            (as_json({"message": "chapterId is required"}, 400), SourceFailed),
            (as_json({"message": {}}, 404), SourceFailed),
            (as_json({"message": "Request failed with status code 404"}, 404), NotFound),
            (as_json({"statusCode": 500, "error": "Internal Server Error", "message": "timeout"}, 500), SourceFailed),
        ],
        ids=["now", "now-managreader", "no-id", "old-object", "old-404", "old-500"],
    )
    async def test_errors_of_both_generations(
        self, service: WebServer, source: Source, answer: Reply, error: type[Exception]
    ) -> None:
        service.on(self.path("info", "x"), answer)
        service.on(self.path("read", "x"), answer)
        for asking in (source.details, source.pages):
            with pytest.raises(error):
                await asking("x")


class TestMangadex(ConsumetContract):
    segment = name = "mangadex"
    ids_in_path = True
    known = Known(
        query="harbour",
        manga_id="6f1d7c2e-0a41-4a5b-9c3e-1b7a5d2f9e01",
        title="港の灯り",
        chapters=(
            (None, "0c0ffee0-0000-4000-8000-000000000004"),
            ("1", "0c0ffee0-0000-4000-8000-000000000005"),
            ("2", "0c0ffee0-0000-4000-8000-000000000007"),
            ("2.5", "0c0ffee0-0000-4000-8000-000000000008"),
            ("3", "0c0ffee0-0000-4000-8000-000000000009"),
        ),
        elsewhere=("0c0ffee0-0000-4000-8000-000000000008",),
    )

    async def test_a_full_page_of_results_has_another_behind_it(self, service: WebServer, source: Source) -> None:
        results = [{"id": f"id-{n}", "title": f"Title {n}"} for n in range(20)]
        service.on(self.searched("many"), as_json({"currentPage": 1, "results": results}))
        service.on(self.searched("many", 2), as_json({"currentPage": "2", "results": results[:3]}))
        assert (await source.search("many")).has_more
        assert not (await source.search("many", 2)).has_more

    async def test_maps_and_nulls_become_plain_texts(self, source: Source) -> None:
        manga = (await source.details(self.known.manga_id)).manga
        assert (manga.description, manga.year, manga.status) == ("A lighthouse.", 2019, "ongoing")
        assert "Minato no Akari" in manga.alt_titles
        found = (await source.search("harbour")).mangas[0]
        assert (found.year, found.description) == (None, "")
        assert found.alt_titles == ("Harbour Lights", "港の灯り")

    async def test_what_is_only_listed_has_a_link(self, source: Source) -> None:
        details = await source.details(self.known.manga_id)
        assert details.manga.url == f"https://mangadex.org/title/{self.known.manga_id}"
        links = {chapter.number: chapter.url for chapter in details.chapters}
        assert links["2.5"] == "https://mangadex.org/chapter/0c0ffee0-0000-4000-8000-000000000008"


class TestMangahere(ConsumetContract):
    segment = name = "mangahere"
    referer = "http://www.mangahere.cc/manga/harbour_lights/v01/c001/1.html"
    known = Known(
        query="harbour",
        manga_id="harbour_lights",
        title="Harbour Lights",
        chapters=(
            ("1", "harbour_lights/v01/c001"),
            ("1.5", "harbour_lights/v01/c001.5"),
            ("2", "harbour_lights/v01/c002"),
            ("1", "harbour_lights/v02/c001"),
            ("2", "harbour_lights/v02/c002"),
        ),
    )

    async def test_an_empty_page_is_the_last_whatever_it_says(self, service: WebServer, source: Source) -> None:
        service.on(self.searched("none"), as_json({"currentPage": 1, "hasNextPage": True, "results": []}))
        assert not (await source.search("none")).has_more
        assert (await source.search("harbour")).has_more

    async def test_signs_that_would_cut_the_sites_address_stay_out(self, service: WebServer, source: Source) -> None:
        service.on(self.searched("you me 100"), as_json(self.sample("search")))
        assert (await source.search("you & me #100%")).mangas

    async def test_a_referer_may_lack_its_scheme(self, service: WebServer, source: Source) -> None:
        headers: tuple[object, ...] = ({"Referer": "//www.mangahere.cc/x"}, "//www.mangahere.cc/y", None, {})
        listed = [{"img": f"//images.example/{n}.jpg", "headerForImage": one} for n, one in enumerate(headers)]
        service.on(self.path("read", "strip"), as_json(listed))
        pages = await source.pages("strip")
        told = ["http://www.mangahere.cc/x", "http://www.mangahere.cc/y", None, None]
        assert [page.headers.get("Referer", "").replace("https:", "http:") or None for page in pages] == told
        assert [page.address for page in pages] == [f"http://images.example/{n}.jpg" for n in range(4)]


class TestMangapill(ConsumetContract):
    segment = name = "mangapill"
    referer = "https://mangapill.com/"
    known = Known(
        query="harbour",
        manga_id="7001/harbour-lights",
        title="Harbour Lights",
        chapters=(
            (None, "7001-10000000/harbour-lights-special"),
            ("2", "7001-10002000/harbour-lights-chapter-2"),
            ("2.5", "7001-10002500/harbour-lights-chapter-2.5"),
            ("12", "7001-10012000/harbour-lights-chapter-12"),
        ),
    )

    async def test_it_has_one_page_of_results(self, service: WebServer, source: Source) -> None:
        assert not (await source.search("harbour")).has_more
        service.requests.clear()
        assert (await source.search("harbour", 2)).mangas == ()
        assert service.requests == []

    async def test_ids_tell_titles_and_numbers(self, source: Source) -> None:
        located = await source.locate(["7001-10002500/harbour-lights-chapter-2.5"])
        assert located.manga.title == "Harbour Lights"
        assert located.chapters[0].number == "2.5"

    async def test_an_extra_is_called_by_its_title(self, source: Source) -> None:
        extra = (await source.details(self.known.manga_id)).chapters[0]
        assert extra.label == "Special: the keeper's dog"


class TestMangakakalot(ConsumetContract):
    segment = name = "mangakakalot"
    referer = "https://www.mangakakalot.gg/"
    known = Known(
        query="harbour",
        manga_id="harbour-lights",
        title="Harbour Lights",
        chapters=(
            ("1", "harbour-lights/chapter-1"),
            ("2", "harbour-lights/chapter-2"),
            ("2.5", "harbour-lights/chapter-2-5"),
            ("10", "harbour-lights/chapter-10"),
        ),
    )

    async def test_titles_of_chapters_are_told_without_their_numbers(self, source: Source) -> None:
        details = await source.details(self.known.manga_id)
        assert [chapter.title for chapter in details.chapters] == ["The Lamp", "", "Tea", ""]
        assert details.manga.authors == ("Ada Breakwater", "Ben Quay")


class TestMangareader(ConsumetContract):
    segment, name = "managreader", "mangareader"
    known = Known(
        query="harbour",
        manga_id="harbour-lights-123",
        title="Harbour Lights",
        chapters=(
            ("1", "harbour-lights-123/en/chapter-1"),
            ("2.5", "harbour-lights-123/en/chapter-2.5"),
            ("10", "harbour-lights-123/en/chapter-10"),
        ),
    )


LINKS = {
    "https://mangadex.org/title/6f1d7c2e-0a41-4a5b-9c3e-1b7a5d2f9e01/harbour-lights": (
        "mangadex",
        "6f1d7c2e-0a41-4a5b-9c3e-1b7a5d2f9e01",
        None,
    ),
    "https://mangadex.org/chapter/0c0ffee0-0000-4000-8000-000000000005/1": (
        "mangadex",
        None,
        "0c0ffee0-0000-4000-8000-000000000005",
    ),
    "http://www.mangahere.cc/manga/harbour_lights/": ("mangahere", "harbour_lights", None),
    "https://www.mangahere.cc/manga/harbour_lights/v01/c001.5/3.html": (
        "mangahere",
        None,
        "harbour_lights/v01/c001.5",
    ),
    "https://www.mangahere.cc/manga/harbour_lights/c012/": ("mangahere", None, "harbour_lights/c012"),
    "https://mangapill.com/manga/7/harbour-lights": ("mangapill", "7/harbour-lights", None),
    "https://mangapill.com/chapters/7-10012000/harbour-lights-chapter-12": (
        "mangapill",
        None,
        "7-10012000/harbour-lights-chapter-12",
    ),
    "https://www.mangakakalot.gg/manga/harbour-lights": ("mangakakalot", "harbour-lights", None),
    "https://www.mangakakalot.gg/manga/harbour-lights/chapter-1": ("mangakakalot", None, "harbour-lights/chapter-1"),
    "https://mangareader.to/harbour-lights-123": ("mangareader", "harbour-lights-123", None),
    "https://mangareader.to/read/harbour-lights-123/en/chapter-1": (
        "mangareader",
        None,
        "harbour-lights-123/en/chapter-1",
    ),
}


async def test_addresses_of_the_sites_lead_to_titles_and_chapters() -> None:
    async with open_sources(
        BotSettings(_env_file=None, mangadex_api_url="", mangapi_url="http://127.0.0.1:1")
    ) as sources:
        for address, meant in LINKS.items():
            found = sources.linked(address)
            assert found, address
            assert (found.source, found.manga_id, found.chapter_id) == meant
        for nonsense in (
            "https://mangapill.com.evil.example/manga/7/x",
            "https://mangapill.com@evil.example/manga/7/x",
            "https://user@mangapill.com/manga/7/x",
            "ftp://mangapill.com/manga/7/x",
            "https://mangapill.com/",
            "https://mangapill.com/manga/7/x/../../y",
            "https://www.mangahere.cc/manga/../",
            "https://mangareader.to/" + "x" * 600 + "-1",
            "http://[",
            "lighthouse",
        ):
            assert sources.linked(nonsense) is None, nonsense
