"""The operator's own comics, a folder of theirs (`LIBRARY_DIR`): read only, and nothing outside of it.

    <title>/<chapter>.cbz | .zip      an archive is a chapter
    <title>/<chapter>.pdf             so is a PDF whose pages are a picture each
    <title>/<chapter>/001.jpg …       so is a folder of pictures
    <title>/001.jpg …                 a title of pictures alone is one chapter
    <title>.cbz | .zip | .pdf         so is a file that lies at the top

Ids are paths in the folder, addresses of pages a chapter's id and the name of a picture in it, parted by a line break.
"""

import asyncio
import hashlib
import time
import zipfile
import zlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

from natsort import natsorted, ns

from tasks.chapters import in_reading_order, named_chapter
from tasks.errors import NoPages, NotFound, PageBroken, PageGone, PageTooLarge, SourceDown
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
from tasks.sources.source import Expect, nothing

PDF = ".pdf"
ARCHIVES = {".cbz", ".zip", PDF}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp"}
CHUNK = 256 * 1024
LARGEST_PICTURE = 100_000_000
"""Bytes an archive may say that a picture of it has; a job allows fewer."""
MOST_PICTURES = 5000
SETTLED_SECONDS = 5.0
"""A chapter that was written to within so long may not be all there."""
ON_A_PAGE = 50
PARTED = "\n"

T = TypeVar("T")


class Library:
    """A folder as a source."""

    number = 20
    name = "library"
    has_smaller = False
    at_once = 0
    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def search(self, query: str, page: int = 1, _filters: Filters = NO_FILTERS, /) -> SearchPage:
        return await self._in_thread(lambda: self._search(query, page))

    async def details(self, manga_id: str) -> MangaDetails:
        return await self._in_thread(lambda: self._details(manga_id))

    async def marks(self, _manga_ids: Sequence[str], /) -> Mapping[str, str]:
        return {}

    async def look(self, manga_id: str, mark: str = "", /) -> Listing:
        return await self._in_thread(lambda: self._look(manga_id, mark))

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        title = PurePosixPath(chapter_ids[0]).parts[0] if PurePosixPath(chapter_ids[0]).parts else chapter_ids[0]
        return MangaDetails(manga=_manga(title), chapters=tuple(_chapter(chapter_id) for chapter_id in chapter_ids))

    async def pages(self, chapter_id: str, _quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        names = await self._in_thread(lambda: self._pictures(self._find(chapter_id)))
        if not names:
            raise NoPages(source=self.name)
        return tuple(Page(address=f"{chapter_id}{PARTED}{name}") for name in names)

    async def read(self, page: Page, _expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        chunks = self._chunks(page.address)
        try:
            while chunk := await self._in_thread(lambda: next(chunks, b"")):
                yield chunk
        finally:
            with suppress(ValueError):  # cancelled while a thread reads: it closes the file itself
                chunks.close()

    def linked(self, address: str) -> None:
        """It has no site."""

    async def check(self) -> None:
        await self._in_thread(lambda: self._titles(""))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """A disk may be slow, or far away."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise SourceDown(str(error.strerror), source=self.name) from error

    def _search(self, query: str, page: int) -> SearchPage:
        words = query.casefold().split()
        found = (
            [title for title in self._titles("") if all(word in title.casefold() for word in words)] if words else []
        )
        here = found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
        return SearchPage(mangas=tuple(_manga(title) for title in here), has_more=len(found) > page * ON_A_PAGE)

    def _titles(self, below: str) -> list[str]:
        """Names of the folders and archives in a folder of the library that can be given out as ids."""
        names = [path.name for path in (self._folder / below).iterdir() if self._is_ours(path)]
        return natsorted((name for name in names if len(f"{below}/{name}") <= LONGEST_ID), alg=ns.IGNORECASE)

    def _is_ours(self, path: Path) -> bool:
        """A folder or an archive, whose name is a text, that does not lead out of the library."""
        if path.name.startswith(".") or not path.name.isprintable():
            return False
        kind = path.is_dir() or path.suffix.lower() in ARCHIVES
        return kind and self._is_inside(path)

    def _find(self, some_id: str) -> Path:
        """The file or folder of that id. Raises `NotFound` for whatever is none, or lies outside."""
        if not some_id.isprintable() or not some_id.strip("./ "):
            raise NotFound(source=self.name)
        try:
            path = (self._folder / some_id).resolve()
            known = path.is_relative_to(self._folder) and path != self._folder and path.exists()
        except OSError:  # such as a name that is too long
            known = False
        if not known:
            raise NotFound(source=self.name)
        return path

    def _details(self, manga_id: str) -> MangaDetails:
        path = self._find(manga_id)
        if path.is_file() or self._pictures(path):
            return MangaDetails(manga=_manga(manga_id), chapters=(_chapter(manga_id),))
        ids = [f"{manga_id}/{name}" for name in self._titles(manga_id)]
        chapters = in_reading_order([_chapter(chapter_id) for chapter_id in reversed(ids)])
        return MangaDetails(manga=_manga(manga_id), chapters=tuple(chapters))

    def _look(self, manga_id: str, mark: str) -> Listing:
        """What is still being copied into the library is left for the next look."""
        chapters = self._details(manga_id).chapters
        try:
            stats = [self._find(one.id).stat() for one in chapters]
        except FileNotFoundError:  # it went just now
            raise NotFound(source=self.name) from None
        told = [f"{one.id}\0{stat.st_size}\0{stat.st_mtime_ns}" for one, stat in zip(chapters, stats, strict=True)]
        now = hashlib.sha256("\n".join(told).encode(errors="surrogateescape")).hexdigest()
        if now == mark:
            return Listing(chapters=None, mark=mark)
        settled = [abs(time.time() - stat.st_mtime) > SETTLED_SECONDS for stat in stats]
        listed = tuple(one for one, is_settled in zip(chapters, settled, strict=True) if is_settled)
        return Listing(chapters=listed, mark=now if all(settled) else "")

    def _pictures(self, chapter: Path) -> list[str]:
        """Names of a chapter's pictures in reading order."""
        if chapter.suffix.lower() == PDF and chapter.is_file():
            return self._pdf_pages(chapter)
        if chapter.is_dir():
            names = [path.name for path in chapter.iterdir() if path.is_file() and self._is_inside(path)]
        else:
            with self._opened(chapter) as archive:
                names = [one.filename for one in archive.infolist() if not one.is_dir()]
        return natsorted((name for name in names if _is_picture(name)), alg=ns.IGNORECASE | ns.PATH)[:MOST_PICTURES]

    def _pdf_pages(self, chapter: Path) -> list[str]:
        from tasks.sources import library_pdf  # noqa: PLC0415 - only where there is a PDF

        return [f"{number}.png" for number in range(1, min(library_pdf.count(chapter, self.name), MOST_PICTURES) + 1)]

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)

    def _chunks(self, address: str) -> Generator[bytes, None, None]:
        chapter_id, parted, name = address.partition(PARTED)
        try:
            chapter = self._find(chapter_id)
        except NotFound:
            raise PageGone(source=self.name) from None
        if not parted or not _is_picture(name):
            raise PageGone(source=self.name)
        if chapter.is_dir():
            yield from self._from_folder(chapter, name)
        elif chapter.suffix.lower() == PDF:
            yield from self._from_pdf(chapter, name)
        else:
            yield from self._from_archive(chapter, name)

    def _from_folder(self, chapter: Path, name: str) -> Iterator[bytes]:
        path = chapter / name
        if not path.is_file() or not self._is_inside(path):
            raise PageGone(source=self.name)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _from_archive(self, chapter: Path, name: str) -> Iterator[bytes]:
        try:
            with self._opened(chapter) as archive:
                if archive.getinfo(name).file_size > LARGEST_PICTURE:
                    raise PageTooLarge(source=self.name)
                with archive.open(name) as file:
                    while chunk := file.read(CHUNK):
                        yield chunk
        except KeyError:
            raise PageGone(source=self.name) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, NoPages) as error:
            # Damaged, locked with a password, or packed in a way nobody here knows.
            raise PageBroken(str(error), source=self.name) from error

    def _from_pdf(self, chapter: Path, name: str) -> Iterator[bytes]:
        number = PurePosixPath(name).stem
        if not number.isdecimal() or f"{int(number)}.png" != name:
            raise PageGone(source=self.name)
        from tasks.sources import library_pdf  # noqa: PLC0415 - as above

        picture = library_pdf.picture(chapter, int(number), self.name)
        for start in range(0, len(picture), CHUNK):
            yield picture[start : start + CHUNK]

    @contextmanager
    def _opened(self, chapter: Path) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(chapter) as archive:
                yield archive
        except zipfile.BadZipFile as error:
            raise NoPages(source=self.name) from error


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in PICTURES and not hidden and name.isprintable()


def _bare(name: str) -> str:
    """A name without the suffix of an archive."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in ARCHIVES else path.name


def _manga(manga_id: str) -> Manga:
    return Manga(source=Library.name, id=manga_id, title=_bare(manga_id) or manga_id)


def _chapter(chapter_id: str) -> Chapter:
    """What the name of its file says: `Chapter 0012.5 - Fog.cbz`, `v02 c010`, `12`."""
    name = _bare(chapter_id)
    if len(PurePosixPath(chapter_id).parts) == 1:
        return Chapter(id=chapter_id, title=name)
    return named_chapter(chapter_id, name)
