"""A folder of comics under the contract of all sources."""

import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import img2pdf
import pikepdf
import pytest
from PIL import Image

from bot.settings import BotSettings
from tasks.errors import NoPages, NotFound, PageBroken, PageGone, PageTooLarge, SourceDown
from tasks.models import Page
from tasks.sources.library import Library
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tests.tasks.sources.contract import Known, SourceContract


def picture(shade: int = 0) -> bytes:
    target = io.BytesIO()
    Image.new("L", (30, 40), shade).save(target, "PNG")
    return target.getvalue()


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, body in entries.items():
            target.writestr(name, body)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "comics"
    harbour = root / "Harbour Lights!! & Co"
    pages = {f"{n}.png": picture(n) for n in (10, 2, 1)}
    archive(harbour / "Chapter 0001 - Fog.cbz", {**pages, "ComicInfo.xml": b"<x/>", "__MACOSX/1.png": b"x"})
    archive(harbour / "c002.5.zip", {f"in a folder/{name}": body for name, body in pages.items()})
    (harbour / "10").mkdir()
    for n in (1, 2, 11):
        (harbour / "10" / f"p{n}.png").write_bytes(picture(n))
    (harbour / "10" / "notes.txt").write_text("no picture")
    archive(root / "One Shot.cbz", pages)
    (root / ".hidden").mkdir()
    return root


class TestLibrary(SourceContract):
    name = "library"
    known = Known(
        query="lights harbour",
        manga_id="Harbour Lights!! & Co",
        title="Harbour Lights!! & Co",
        chapters=(
            ("1", "Harbour Lights!! & Co/Chapter 0001 - Fog.cbz"),
            ("2.5", "Harbour Lights!! & Co/c002.5.zip"),
            ("10", "Harbour Lights!! & Co/10"),
        ),
    )

    @pytest.fixture(autouse=True)
    def at_rest(self, folder: Path) -> None:
        """As if all of it had been there for long."""
        for path in folder.rglob("*"):
            os.utime(path, (1e9, 1e9))

    async def test_a_look_tells_what_was_added_once_it_is_all_there(self, source: Source, folder: Path) -> None:
        before = await source.look(self.known.manga_id)
        assert (await source.look(self.known.manga_id, before.mark)).chapters is None
        new = archive(folder / self.known.manga_id / "11.cbz", {"1.png": picture()})
        assert (await source.look(self.known.manga_id, before.mark)).chapters == before.chapters
        os.utime(new, (1e9, 1e9))
        after = await source.look(self.known.manga_id, before.mark)
        assert after.chapters is not None
        assert [one.number for one in after.chapters] == ["1", "2.5", "10", "11"]

    @pytest.fixture
    async def source(self, folder: Path) -> AsyncIterator[Source]:
        async with open_sources(BotSettings(_env_file=None, mangadex_api_url="", library_dir=folder)) as sources:
            assert [one.name for one in sources.all()] == ["library"]
            yield sources.get("20")

    async def test_pages_come_in_natural_order(self, source: Source) -> None:
        for _, chapter_id in self.known.chapters:
            names = [page.address.partition("\n")[2] for page in await source.pages(chapter_id)]
            assert [int("".join(filter(str.isdigit, name))) for name in names] in ([1, 2, 10], [1, 2, 11])

    async def test_an_archive_at_the_top_is_a_title_of_one_chapter(self, source: Source) -> None:
        details = await source.details("One Shot.cbz")
        assert (details.manga.title, [one.label for one in details.chapters]) == ("One Shot", ["One Shot"])
        assert len(await source.pages(details.chapters[0].id)) == 3

    async def test_a_name_says_number_volume_and_title(self, source: Source) -> None:
        located = await source.locate(["X/Vol. 2 Ch. 012.5 - The End.cbz", "X/Extra.cbz", "X/v03 c001", "X/007"])
        assert [(one.volume, one.number, one.title) for one in located.chapters] == [
            ("2", "12.5", "The End"),
            (None, None, "Extra"),
            ("3", "1", ""),
            (None, "7", ""),
        ]

    @pytest.mark.parametrize("some_id", ["../secret", "/etc", "Harbour Lights!! & Co/../../secret", "out", ".", "\x00"])
    async def test_nothing_outside_is_reached(self, source: Source, folder: Path, some_id: str) -> None:
        secret = folder.parent / "secret"
        secret.mkdir()
        (secret / "1.png").write_bytes(picture())
        (folder / "out").symlink_to(secret)
        (folder / "Harbour Lights!! & Co" / "10" / "p99.png").symlink_to(secret / "1.png")
        for asking in (source.details, source.pages):
            with pytest.raises(NotFound):
                await asking(some_id)
        for address in (f"{some_id}\n1.png", "Harbour Lights!! & Co/10\n../../../secret/1.png"):
            with pytest.raises(PageGone):
                await read(source, address)
        assert (await source.search("out")).mangas == ()
        assert len(await source.pages("Harbour Lights!! & Co/10")) == 3

    async def test_archives_that_are_broken_locked_or_bombs(self, source: Source, folder: Path) -> None:
        title = folder / "Broken"
        title.mkdir()
        (title / "1.cbz").write_bytes(b"no archive")
        with pytest.raises(NoPages):
            await source.pages("Broken/1.cbz")
        whole = archive(title / "2.cbz", {"1.png": picture() * 50})
        body = bytearray(whole.read_bytes())
        body[60:80] = b"x" * 20
        whole.write_bytes(body)
        with pytest.raises(PageBroken):
            await read(source, "Broken/2.cbz\n1.png")
        archive(title / "3.cbz", {"1.png": b"\0" * 120_000_000})
        with pytest.raises(PageTooLarge):
            await read(source, "Broken/3.cbz\n1.png")

    async def test_a_folder_that_went_away_is_down(self, folder: Path) -> None:
        source = Library(folder)
        folder.rename(folder.parent / "gone")  # noqa: ASYNC240 - nobody waits for it
        for asking in (source.check(), source.search("x")):
            with pytest.raises(SourceDown):
                await asking

    async def test_a_pdf_of_pictures_is_a_chapter(self, source: Source, folder: Path) -> None:
        title = folder / "Books"
        title.mkdir()
        photos = []
        for n in range(12):
            target = io.BytesIO()
            Image.effect_noise((40, 60), n + 20).save(target, "JPEG")
            photos.append(target.getvalue())
        (title / "Chapter 3.pdf").write_bytes(img2pdf.convert(photos))
        details = await source.details("Books")
        assert [(one.number, one.id) for one in details.chapters] == [("3", "Books/Chapter 3.pdf")]
        pages = await source.pages("Books/Chapter 3.pdf")
        assert [await read(source, page.address) for page in pages] == photos
        for name in ("0.png", "13.png", "01.png", "x.png", "٣.png"):
            with pytest.raises(PageGone):
                await read(source, f"Books/Chapter 3.pdf\n{name}")
        with pikepdf.new() as empty:
            empty.add_blank_page()
            empty.save(title / "4.pdf")
        with pytest.raises(PageBroken):
            await read(source, "Books/4.pdf\n1.png")
        (title / "5.pdf").write_bytes(b"no book")
        with pytest.raises(NoPages):
            await source.pages("Books/5.pdf")


async def read(source: Source, address: str) -> bytes:
    return b"".join([chunk async for chunk in source.read(Page(address=address))])
