"""Whatever servers, files and archives say, it is read, or refused by an error of ours."""

import asyncio
import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tasks.archives.image import SUFFIXES, check_image
from tasks.chapters import named_chapter
from tasks.errors import PageError, SourceError
from tasks.models import Page
from tasks.sources import consumet_answers, mangadex_answers
from tasks.sources.library import Library
from tasks.sources.opds_feed import NoFeed, read_description, read_feed

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
NAMES = [
    "id",
    "title",
    "altTitles",
    "chapters",
    "results",
    "chapter",
    "pages",
    "img",
    "headerForImage",
    "image",
    "description",
]
NAMES += [
    "data",
    "attributes",
    "relationships",
    "type",
    "total",
    "volume",
    "externalUrl",
    "translatedLanguage",
    "baseUrl",
]
KEYED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8),
    max_leaves=30,
)
ANY_WAY = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@ANY_WAY
@given(JSON | KEYED)
def test_answers_of_consumet(answer: Any) -> None:
    try:
        found = consumet_answers.SearchAnswer.model_validate(answer)
        for one in found.results:
            if one.id:
                consumet_answers.manga(one, "x", one.id, "https://example.org/{id}")
        info = consumet_answers.InfoAnswer.model_validate(answer)
        consumet_answers.chapters(info.chapters, one_per_number=True)
        if isinstance(answer, list):
            for page in consumet_answers.parse_list(answer):
                consumet_answers.page(page, "http://x", {})
    except ValidationError:
        pass


@ANY_WAY
@given(JSON | KEYED)
def test_answers_of_mangadex(answer: Any) -> None:
    for wrapped in (answer, {"data": [answer]}, {"data": [{"id": "x", "attributes": answer}]}):
        try:
            listing = mangadex_answers.Listing.model_validate(wrapped)
            mangadex_answers.chapters(listing.data)
            for one in listing.data:
                if one.id:
                    mangadex_answers.manga(one, "x")
        except ValidationError:
            pass


FEED = "<feed xmlns='http://www.w3.org/2005/Atom'>"
LINK = "<link rel='subsection' type='application/atom+xml' href='"
SIGNS = ["'/>", "http://[", "{searchTerms}", "<!DOCTYPE x>", "<?x?>", "]]>", "&lt;", "&x;", "<!--", "-->"]
XML_PIECES = st.sampled_from([FEED, "</feed>", "<entry>", "</entry>", "<title>", "</title>", LINK, *SIGNS])


@ANY_WAY
@given(st.lists(XML_PIECES | st.text(max_size=6), max_size=20), st.binary(max_size=60))
def test_feeds(pieces: list[str], noise: bytes) -> None:
    for body in ("".join(pieces).encode(errors="replace"), noise, b"<?xml version='1.0' encoding='utf-7'?>" + noise):
        for read in (read_feed, read_description):
            with suppress(NoFeed):
                read(body, "http://host/opds")


@ANY_WAY
@given(st.text(max_size=60))
def test_names_of_chapters(name: str) -> None:
    chapter = named_chapter("x", name)
    assert chapter.number is None or float(chapter.number) >= 0


def pictures() -> list[bytes]:
    found = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        target = io.BytesIO()
        Image.effect_noise((16, 16), 50).save(target, kind)
        found.append(target.getvalue())
    return found


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(pictures()),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
def test_headers_of_pictures(tmp_path: Path, picture: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    body = bytearray(picture)
    for place, value in changes:
        body[min(place, len(body) - 1)] = value
    page = tmp_path / "page"
    page.write_bytes(bytes(body[: len(body) - cut if cut < len(body) else len(body)]))
    with suppress(PageError):
        assert check_image(page) in set(SUFFIXES.values())


PATHS = ["../x.png", "/etc/x.png", "a//b.png", "..\\x.png", "x.png"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(min_size=1, max_size=30)
        | st.sampled_from(["../x.png", "/etc/x.png", "a//b.png", "..\\x.png", "x.png"]),
        max_size=6,
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_archives(tmp_path: Path, names: list[str]) -> None:
    title = tmp_path / "library" / "Title"
    title.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(title / "1.cbz", "w") as archive:
        for name in names:
            archive.writestr(name.encode(errors="replace").decode(), b"x")

    async def look() -> None:
        source = Library(tmp_path / "library")
        try:
            for page in await source.pages("Title/1.cbz"):
                assert [chunk async for chunk in source.read(page)] == [b"x"]
        except (SourceError, PageError):
            pass
        for name in names:
            try:
                async for _ in source.read(Page(address=f"Title/1.cbz\n{name}")):
                    pass
            except PageError:
                pass

    asyncio.run(look())
    assert [path.name for path in tmp_path.iterdir()] == ["library"]
