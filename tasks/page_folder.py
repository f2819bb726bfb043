"""The pages of one chapter on disk: hashed and checked as they come, kept over a kill, handed on to other jobs.

In the folder
    pages.<fence>            lines of JSON: how many pages the chapter has, as soon as that is known, and what a whole page
                             is, whose bytes follow it. A file for each page would cost more than fetching it
    <page>.<fence>           a page that is too large to be held in memory
    ../<n>.<fence>.zip       an archive, into which pages were put at once
    shared-<fence>-<n>       a file of another job that has the chapter
Only the worker with that fence writes to a file, so one that woke up late spoils nothing. It is killed at any moment: what is
at the end of its file counts only if it is all there.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from pydantic import TypeAdapter, ValidationError

from tasks.archives.image import check_image, likely_suffix
from tasks.archives.parts import PageFile
from tasks.errors import PageTooLarge
from tasks.models import Value

IN_MEMORY = 512 * 1024
"""Bytes of a page that are held before they go to disk: most pages get there in one go."""


class StoredPage(Value):
    """A whole page of a chapter: `size` bytes at `offset` of a file, by its path from the chapter's folder."""

    number: int
    file: str
    offset: int = 0
    size: int
    sha256: str
    suffix: str

    @classmethod
    def of(cls, page: PageFile, file: str) -> Self:
        """What is known of the page, whose file has that name."""
        known = {name: getattr(page, name) for name in ("number", "offset", "size", "sha256", "suffix")}
        return cls(file=file, **known)

    def at(self, path: Path) -> PageFile:
        """The page in its file, which is at that path."""
        return PageFile(self.number, path, self.size, self.sha256, self.suffix, self.offset)


LINE: TypeAdapter[int | StoredPage] = TypeAdapter(int | StoredPage)


class Spot(Protocol):
    """Where one page will be in an archive, as far as that can be known before it is there."""

    def expect(self, page: PageFile) -> None:
        """The page comes and will have that size and suffix."""

    def put(self, page: PageFile, body: bytes) -> PageFile | None:
        """The page at its spot; None = it can't be put there."""


class PageFolder:
    """A chapter's folder, as the worker with that fence sees it. Everything blocks and raises `OSError`."""

    def __init__(self, path: Path, fence: int) -> None:
        self._path = path
        self._fence = fence
        self._own = path / f"pages.{fence}"
        self.total: int | None = None
        """How many pages the chapter has, if its source has said so by now."""

    def open(self) -> dict[int, PageFile]:
        """Whole pages that earlier attempts left, by number; what a crash of the machine cut short is passed over."""
        self._path.mkdir(parents=True, exist_ok=True)
        files = sorted(self._path.glob("pages.*"), key=lambda file: int(file.suffix[1:]))
        pages = [page for file in files for page in self._read(file)]
        return {page.number: page for page in pages if page.is_as_told()}

    def _read(self, path: Path) -> Iterator[PageFile]:
        with path.open("rb") as file:
            while (line := file.readline()).endswith(b"\n"):
                try:
                    said = LINE.validate_json(line)
                except ValidationError:
                    return  # its worker was killed over it
                if isinstance(said, int):
                    self.total = said
                elif said.file == path.name:
                    yield said.model_copy(update={"offset": file.tell()}).at(path)
                    file.seek(said.size, os.SEEK_CUR)
                else:
                    yield said.at(self._path / said.file)

    def note_total(self, total: int) -> None:
        """The source says that the chapter has so many pages."""
        self.total = total
        self._append(f"{total}\n".encode())

    def incoming(self, number: int, limit: int, spot: Spot | None = None) -> "Incoming":
        """A page that is about to come, for that spot; it may have at most `limit` bytes."""
        return Incoming(self, number, limit, spot)

    def own_file(self, number: int) -> Path:
        """Where a page that is too large to be held in memory belongs."""
        return self._path / f"{number:04}.{self._fence}"

    def append(self, page: PageFile, body: bytes) -> PageFile:
        """Put a whole page behind the others."""
        with self._own.open("ab") as file:
            line = f"{StoredPage.of(page, self._own.name).model_dump_json(exclude_defaults=True)}\n".encode()
            offset = file.tell() + len(line)
            file.writelines((line, body))
        return replace(page, path=self._own, offset=offset)

    def note(self, *pages: PageFile) -> None:
        """These are in other files."""
        noted = [StoredPage.of(page, os.path.relpath(page.path, self._path)) for page in pages]
        self._append("".join(f"{page.model_dump_json()}\n" for page in noted).encode())

    def take_over(self, pages: Iterable[StoredPage], link: Callable[[str, Path], None]) -> list[PageFile]:
        """Put the whole chapter of another job here: `link` puts the file of that name at a path.

        Raises `ValueError` if a page is not as it says.
        """
        taken: list[PageFile] = []
        files: dict[str, Path] = {}
        for page in pages:
            if page.file not in files:
                files[page.file] = self._path / f"shared-{self._fence}-{len(files)}"
                files[page.file].unlink(missing_ok=True)
                link(page.file, files[page.file])
            here = page.at(files[page.file])
            if not here.is_as_told():
                raise ValueError(f"page {page.number} is damaged")
            taken.append(here)
        self.note_total(len(taken))
        self.note(*taken)
        return taken

    def _append(self, lines: bytes) -> None:
        with self._own.open("ab") as file:
            file.write(lines)


class Incoming:
    """One attempt at a page."""

    def __init__(self, folder: PageFolder, number: int, limit: int, spot: Spot | None) -> None:
        self._folder = folder
        self._number = number
        self._limit = limit
        self._spot = spot
        self._expected: int | None = None
        self._part: Path | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._held_size = 0
        self._digest = hashlib.sha256()

    def expect(self, size: int) -> None:
        """It will have so many bytes."""
        self._expected = size

    def add(self, chunk: bytes) -> None:
        """The next bytes of it. Raises `PageTooLarge`."""
        if self._spot and self._expected and not self._size:
            self._spot.expect(PageFile(self._number, Path(), self._expected, "", likely_suffix(chunk)))
        self._held.append(chunk)
        self._held_size += len(chunk)
        self._size += len(chunk)
        if self._size > self._limit:
            raise PageTooLarge(f"more than {self._limit} bytes")
        if self._held_size > IN_MEMORY:
            self._write(self._take_held())

    def finish(self) -> PageFile:
        """All of it came: the page in its place. Raises `PageError` for what is no whole picture."""
        body = self._take_held()
        if self._part is None:
            page = self._page(check_image(io.BytesIO(body)))
            if self._spot and (put := self._spot.put(page, body)):
                self._folder.note(put)
                return put
            return self._folder.append(page, body)
        self._write(body)
        page = self._page(check_image(self._part))
        page = replace(page, path=self._part.rename(self._folder.own_file(self._number)))
        self._folder.note(page)
        return page

    def _page(self, suffix: str) -> PageFile:
        page = PageFile(self._number, Path(), self._size, self._digest.hexdigest(), suffix)
        if self._spot:  # not every server says before how large a page is, or says it rightly
            self._spot.expect(page)
        return page

    def discard(self) -> None:
        """Remove what came of a page that did not come to its end."""
        if self._part:
            self._part.unlink(missing_ok=True)

    def _take_held(self) -> bytes:
        body = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        self._digest.update(body)
        return body

    def _write(self, body: bytes) -> None:
        mode = "ab" if self._part else "wb"
        if self._part is None:
            own = self._folder.own_file(self._number)
            self._part = own.with_name(f"{own.name}.part")
        with self._part.open(mode) as file:
            file.write(body)
