"""MangaDex's own API under the contract of all sources, with answers in the shapes of its published schema."""

import hashlib
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image

from bot.settings import BotSettings
from tasks.errors import GuestLimit, NoPages, NotFound, PageBroken, PageUnreachable, SourceBusy
from tasks.models import Filters, Order, Quality, Rating
from tasks.sources.mangadex import MangaDex
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tests.tasks.sources.contract import HttpSourceContract, Known
from tests.web_server import Reply, WebServer, as_json

MANGA = "f98660a1-d2e2-461c-960d-7bd13df8b76d"
FEED = f"/manga/{MANGA}/feed"


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def picture(shade: int = 50) -> bytes:
    target = io.BytesIO()
    Image.effect_noise((60, 80), shade).save(target, "JPEG")
    return target.getvalue()


def name_of(body: bytes, number: int = 1) -> str:
    return f"x{number}-{hashlib.sha256(body).hexdigest()}.jpg"


def a_manga(**attributes: Any) -> dict[str, Any]:
    said = {
        "title": {"ja-ro": "Minato no Akari"},
        "altTitles": [{"ja": "港の灯"}, {"en": "Harbour Lights"}],
        "description": [],
        "links": None,
        "lastChapter": "",
        "year": None,
        "status": "ongoing",
        "contentRating": "suggestive",
        "availableTranslatedLanguages": ["en", None, "pt-br"],
        **attributes,
    }
    related = [
        {"id": uuid(1), "type": "author", "attributes": {"name": "Mina K"}},
        {"id": uuid(1), "type": "artist", "attributes": {"name": "Mina K"}},
        {"id": uuid(2), "type": "cover_art", "attributes": {"fileName": "abc-1.png"}},
        {"id": uuid(3), "type": "manga"},
    ]
    return {"id": MANGA, "type": "manga", "attributes": said, "relationships": related}


def a_chapter(number: int, chapter: str | None, **attributes: Any) -> dict[str, Any]:
    said = {
        "volume": None,
        "chapter": chapter,
        "title": None,
        "translatedLanguage": "en",
        "pages": 2,
        "externalUrl": None,
        **attributes,
    }
    groups = [{"id": uuid(7), "type": "scanlation_group", "attributes": {"name": "Lantern Scans"}}]
    return {"id": uuid(number), "type": "chapter", "attributes": said, "relationships": groups}


NEWEST_FIRST = [
    a_chapter(15, "11", externalUrl="https://example.org/read/11", pages=0),
    a_chapter(14, "10.5", title="Fog", volume="2"),
    a_chapter(13, "2", isUnavailable=True),
    a_chapter(12, "2", translatedLanguage="pt-br"),
    a_chapter(11, "01"),
    a_chapter(10, None, title=""),
]


def listing(items: list[dict[str, Any]], offset: int = 0, total: int | None = None, limit: int = 500) -> Reply:
    found = len(items) if total is None else total
    return as_json({"result": "ok", "data": items, "limit": limit, "offset": offset, "total": found})


def error(status: int, title: str = "not_found_http_exception") -> Reply:
    errors = [{"id": "x", "status": status, "title": title, "detail": "d", "context": None}]
    return as_json({"result": "error", "errors": errors}, status)


class Site(WebServer):
    """Answers by path alone, whatever is asked for."""

    def _reply_to(self, path: str, headers: dict[str, str]) -> Reply:
        reply = super()._reply_to(urlsplit(path).path, headers)
        self.requests[-1] = (path, headers)
        return reply

    def asked(self, path: str) -> list[dict[str, list[str]]]:
        """The parameters of every request for that path."""
        found = []
        for asked, _ in self.requests:
            if urlsplit(asked).path == path:
                parameters: dict[str, list[str]] = {}
                for key, value in parse_qsl(urlsplit(asked).query):
                    parameters.setdefault(key, []).append(value)
                found.append(parameters)
        return found


@pytest.fixture(scope="module")
def source_server() -> Iterator[Site]:
    with Site() as site:
        yield site


class TestMangaDex(HttpSourceContract):
    name = "mangadex"
    some_id = uuid(99)
    known: ClassVar[Known] = Known(
        query="harbour",
        manga_id=MANGA,
        title="Harbour Lights",
        chapters=(
            (None, uuid(10)),
            ("1", uuid(11)),
            ("2", uuid(12)),
            ("2", uuid(13)),
            ("10.5", uuid(14)),
            ("11", uuid(15)),
        ),
        elsewhere=(uuid(13), uuid(15)),
    )

    @pytest.fixture(autouse=True)
    def service(self, source_server: Site) -> Site:
        site = source_server
        site.reset()
        site.otherwise = error(404)
        site.on("/ping", Reply(b"pong", content_type="text/plain"))
        site.on(f"/manga/{MANGA}", as_json({"result": "ok", "data": a_manga()}))
        site.on(FEED, listing(NEWEST_FIRST))
        site.on("/chapter", listing([*NEWEST_FIRST, a_chapter(99, "9")]))
        site.on("/report", as_json({}))
        self.pictures = [picture(40), picture(90)]
        self.has_pages(site, site.url)
        return site

    @pytest.fixture(autouse=True)
    def found(self, service: Site, request: pytest.FixtureRequest) -> None:
        nothing = "nobody" in request.node.name or "nothing_found_is" in request.node.name
        service.on("/manga", listing([] if nothing else [a_manga()], limit=20))

    async def test_one_request_tells_which_of_many_titles_changed(self, service: Site, source: Source) -> None:
        others = [{"id": uuid(n), "attributes": {"latestUploadedChapter": None, "year": "?"}} for n in range(20, 118)]
        service.on("/manga", listing([{**a_manga(latestUploadedChapter=uuid(15))}, *others], limit=100))
        ids = [MANGA, "no id at all", *(str(one["id"]) for one in others)]
        assert await source.marks(ids) == {MANGA: uuid(15)}
        [asked] = service.asked("/manga")
        assert asked["ids[]"] == [MANGA, *ids[2:]]
        assert asked["limit"] == ["100"]
        assert asked["contentRating[]"] == [rating.value for rating in Rating]

    async def test_a_look_asks_for_the_chapters_alone(self, service: Site, source: Source) -> None:
        await source.look(MANGA)
        assert [urlsplit(path).path for path, _ in service.requests] == [FEED]

    def has_pages(self, site: Site, *bases: str) -> None:
        """The node at each of these addresses in turn is named for every chapter."""
        names = [name_of(body, n) for n, body in enumerate(self.pictures, start=1)]
        answers = [
            as_json(
                {"result": "ok", "baseUrl": base, "chapter": {"hash": "h4sh", "data": names, "dataSaver": names[:1]}}
            )
            for base in bases
        ]
        for number in range(10, 16):
            site.on(f"/at-home/server/{uuid(number)}", *answers)
        for base in bases:
            for name, body in zip(names, self.pictures, strict=True):
                for folder in ("data", "data-saver"):
                    site.on(f"{urlsplit(base).path}/{folder}/h4sh/{name}", Reply(body, content_type="image/jpeg"))

    @asynccontextmanager
    async def opened_at(self, url: str, **more: Any) -> AsyncIterator[Source]:
        settings = BotSettings(_env_file=None, mangadex_api_url=url, source_rate_limit=1000, **more)
        async with open_sources(settings) as sources:
            yield sources.get(self.name)

    @pytest.fixture
    async def source(self, service: Site) -> AsyncIterator[Source]:
        async with self.opened_at(service.url) as opened:
            yield opened

    async def read(self, source: Source, number: int = 0, chapter: str = uuid(11)) -> bytes:
        page = (await source.pages(chapter))[number]
        return b"".join([chunk async for chunk in source.read(page)])

    async def test_a_title_is_told_whole(self, source: Source) -> None:
        manga = (await source.details(MANGA)).manga
        assert manga.alt_titles == ("Minato no Akari", "港の灯")
        assert manga.authors == ("Mina K",)
        assert manga.languages == ("en", "pt-br")
        assert manga.rating is Rating.SUGGESTIVE
        assert manga.cover_url == f"https://uploads.mangadex.org/covers/{MANGA}/abc-1.png.512.jpg"

    async def test_chapters_tell_their_groups_and_where_else_they_are(self, source: Source) -> None:
        chapters = {one.id: one for one in (await source.details(MANGA)).chapters}
        assert chapters[uuid(11)].groups == ("Lantern Scans",)
        assert chapters[uuid(12)].language == "pt-br"
        assert chapters[uuid(15)].url == "https://example.org/read/11"
        assert chapters[uuid(13)].url == f"https://mangadex.org/chapter/{uuid(13)}"
        assert chapters[uuid(10)].label == "Oneshot"

    async def test_a_feed_is_read_to_its_end(self, service: Site, source: Source) -> None:
        chapters = [a_chapter(n, str(n)) for n in range(1200, 0, -1)]
        pages = [listing(chapters[first : first + 500], first, 1200) for first in (0, 500, 1000)]
        service.on(FEED, *pages)
        assert [one.number for one in (await source.details(MANGA)).chapters] == [str(n) for n in range(1, 1201)]
        asked = service.asked(FEED)
        assert [one["offset"] for one in asked] == [["0"], ["500"], ["1000"]]
        assert asked[0]["contentRating[]"] == ["safe", "suggestive", "erotica", "pornographic"]
        assert asked[0]["includeFuturePublishAt"] == ["0"]

    async def test_a_search_is_narrowed(self, service: Site, source: Source) -> None:
        filters = Filters(
            languages=("en", "ko"),
            originals=("ko",),
            statuses=("completed",),
            ratings=(Rating.SAFE,),
            readable=True,
            order=Order.YEAR,
        )
        service.on("/manga", listing([a_manga()], offset=20, total=41, limit=20))
        assert (await source.search("x", 2, filters)).has_more
        asked = service.asked("/manga")[0]
        assert asked["title"] == ["x"]
        assert asked["offset"] == ["20"]
        assert asked["availableTranslatedLanguage[]"] == ["en", "ko"]
        assert asked["originalLanguage[]"] == ["ko"]
        assert asked["status[]"] == ["completed"]
        assert asked["contentRating[]"] == ["safe"]
        assert asked["hasAvailableChapters"] == ["true"]
        assert asked["order[year]"] == ["desc"]
        assert (await source.search("x", 501)).mangas == ()  # beyond what may be asked for

    async def test_smaller_pages_are_the_data_saver_s(self, service: Site, source: Source) -> None:
        pages = await source.pages(uuid(11), Quality.SMALLER)
        assert len(pages) == 1
        async for _ in source.read(pages[0]):
            pass
        assert urlsplit(service.requests[-1][0]).path.startswith("/data-saver/h4sh/")

    async def test_a_node_that_fails_is_reported_and_another_one_asked(self, service: Site, source: Source) -> None:
        self.has_pages(service, f"{service.url}/old", f"{service.url}/new")
        page = (await source.pages(uuid(11)))[0]
        name = name_of(self.pictures[0])
        service.on(f"/old/data/h4sh/{name}", Reply(b"", status=403))
        with pytest.raises(PageUnreachable) as told:
            async for _ in source.read(page):
                pass
        assert told.value.retry_helps
        assert b"".join([chunk async for chunk in source.read(page)]) == self.pictures[0]
        await reported(source)
        reports = [json.loads(body) for path, body in service.posted if path == "/report"]
        assert [(one["url"], one["success"]) for one in reports] == [
            (f"{service.url}/old/data/h4sh/{name}", False),
            (f"{service.url}/new/data/h4sh/{name}", True),
        ]
        assert reports[1]["bytes"] == len(self.pictures[0])
        assert set(reports[0]) == {"url", "success", "bytes", "duration", "cached"}

    async def test_a_report_that_is_refused_fails_no_page(self, service: Site, source: Source) -> None:
        service.on("/report", Reply(b"", status=500))
        assert await self.read(source) == self.pictures[0]
        await reported(source)

    async def test_a_node_s_address_is_renewed_before_it_runs_out(
        self, service: Site, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = (await source.pages(uuid(11)))[0]
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 400)
        async for _ in source.read(page):
            pass
        assert service.count(f"/at-home/server/{uuid(11)}?forcePort443=false") == 2

    async def test_a_picture_that_is_not_the_one_of_its_name_is_broken(self, service: Site, source: Source) -> None:
        other = Reply(picture(7), content_type="image/jpeg")
        service.on(f"/data/h4sh/{name_of(self.pictures[0])}", other)
        with pytest.raises(PageBroken):
            await self.read(source)

    async def test_a_chapter_without_pages_is_told(self, service: Site, source: Source) -> None:
        service.on(f"/at-home/server/{uuid(11)}", error(404))
        with pytest.raises(NoPages):
            await source.pages(uuid(11))

    @pytest.mark.parametrize(
        "refusal",
        [error(403, "forbidden"), Reply(b"", status=429, headers={"Retry-After": "86400"})],
        ids=["403", "429"],
    )
    async def test_the_limit_for_guests_is_told(self, service: Site, source: Source, refusal: Reply) -> None:
        service.on(f"/at-home/server/{uuid(11)}", refusal)
        with pytest.raises(GuestLimit):
            await source.pages(uuid(11))

    @pytest.mark.parametrize(
        "answer",
        [
            Reply(b"<html>Your browser sent an invalid request", status=400, content_type="text/html"),
            Reply(b"", status=429, headers={"X-RateLimit-Retry-After": str(int(time.time()) + 4000)}),
        ],
        ids=["guard", "timestamp"],
    )
    async def test_long_silence_is_not_waited_for(self, service: Site, source: Source, answer: Reply) -> None:
        service.on("/manga", answer)
        with pytest.raises(SourceBusy) as told:
            await source.search("x")
        assert 100 <= int(told.value.detail["seconds"]) <= 4000
        assert len(service.requests) == 1

    async def test_an_unknown_chapter_is_not_located(self, source: Source) -> None:
        for ids in ([uuid(11), uuid(5000)], ["no-uuid"]):
            with pytest.raises(NotFound):
                await source.locate(ids)

    async def test_a_personal_client_signs_in_and_tells_images_nothing(self, service: Site) -> None:
        service.on(
            "/realms/mangadex/protocol/openid-connect/token", *[as_json({"access_token": f"t{n}"}) for n in (1, 2)]
        )
        service.on("/manga", Reply(b"{}", status=401), listing([a_manga()]))
        account = {f"mangadex_{name}": "hunter2" for name in ("client_id", "client_secret", "username", "password")}
        async with self.opened_at(service.url, **account) as source:
            assert (await source.search("x")).mangas
            await self.read(source)
        carried = {urlsplit(path).path: headers.get("Authorization") for path, headers in service.requests}
        assert carried["/manga"] == "Bearer t2"
        assert carried[f"/data/h4sh/{name_of(self.pictures[0])}"] is None
        assert carried["/report"] is None

    def test_links_of_its_site_are_known(self) -> None:
        source = MangaDex.linked
        for address, what in (
            (f"https://mangadex.org/title/{MANGA}/harbour-lights", "manga_id"),
            (f"https://mangadex.org/chapter/{MANGA}/3", "chapter_id"),
        ):
            link = source(MangaDex.__new__(MangaDex), address)
            assert link is not None
            assert getattr(link, what) == MANGA
        for address in (f"https://mangadex.org.evil/title/{MANGA}", "https://mangadex.org/title/x", "http://[::1"):
            assert source(MangaDex.__new__(MangaDex), address) is None


async def reported(source: Source) -> None:
    assert isinstance(source, MangaDex)
    await source.reported()
