"""Chapters in, as they come; files out: made over where that was asked for, dealt out to parts, written."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tasks.archives import epub, names
from tasks.archives.growing import GrowingZip, Misplaced
from tasks.archives.parts import ChapterPages, PageFile, Planner
from tasks.archives.pictures import make_opaque, make_smaller
from tasks.archives.strips import slice_strip
from tasks.archives.zip import Archive, Checkpoint
from tasks.errors import NothingDownloaded, PageBroken
from tasks.jobs.job import ArchiveFile, Failure, Missing, Result
from tasks.models import ArchiveFormat, DownloadRequest, Quality
from tasks.placing import Placing
from tasks.workspace import JobFolder

MAX_PAGE_BYTES = 40_000_000

SMALLER = "smaller"

MakePage = Callable[[Path, Path, Path], list[Path]]
"""Makes a page over: of this one, by way of the second, at the third but for its suffix; where the results are."""
Write = Callable[[Archive, Path, Path, Checkpoint], None]


def _write_pdf(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    from tasks.archives.pdf import write_pdf  # noqa: PLC0415 - what it brings takes a tenth of a worker's memory

    write_pdf(archive, unfinished, file, checkpoint)


WRITERS: dict[ArchiveFormat, Write | None] = {
    ArchiveFormat.ZIP: None,
    ArchiveFormat.CBZ: None,
    ArchiveFormat.PDF: _write_pdf,
    ArchiveFormat.EPUB: epub.write_epub,
}
"""What writes a file when all of it is there; None = it is a ZIP, which grows."""


def page_limit(request: DownloadRequest) -> int:
    """Bytes a page may have: two of them have to fit into a file."""
    return min(MAX_PAGE_BYTES, request.part_limit // 2)


class Packer(AbstractContextManager["Packer"]):
    """Packs one job in its folder; `shrink` makes pages smaller as the request says.

    Everything blocks, raises `OSError`, and ends early by what `checkpoint` raises.
    """

    def __init__(self, request: DownloadRequest, folder: JobFolder, *, shrink: bool) -> None:
        self._request = request
        self._folder = folder
        self._steps = list(_steps(request, shrink=shrink))
        self._planner = Planner(request.part_limit, request.split)
        self._growing: dict[int, GrowingZip] = {}
        self._lock = threading.Lock()
        self._takes_pages = False
        self._places = 0
        self._saved = 0
        self._spoiled: list[Missing] = []

    def placing(self) -> Placing | None:
        """Where pages may be put before their chapters are added; None = nowhere. Ask for it before the first is added."""
        goes_in_as_it_is = not self._steps and WRITERS[self._request.format] is None
        self._takes_pages = goes_in_as_it_is and self._folder.takes_pages()
        return Placing(self._request, self._zip_at) if self._takes_pages else None

    def add(self, chapter: ChapterPages, checkpoint: Checkpoint) -> None:
        """Take the next chapter in the order of the request. A ZIP has it from now on; other formats wait for the end."""
        self._places += 1
        if self._steps:
            chapter = replace(chapter, pages=[self._alone(page) for page in chapter.pages])
        for step, make in self._steps:
            before = chapter
            chapter = self._made_over(step, make, before, checkpoint)
            self._saved += _bytes(before) - _bytes(chapter) if step == SMALLER else 0
        if not chapter.pages:
            return
        for place, piece in self._planner.add(chapter):
            if WRITERS[self._request.format] is None:
                self._grow(place, piece, checkpoint)

    def finish(self, missing: Sequence[Missing], checkpoint: Checkpoint) -> Result:
        """Finish all files and give them their names. Raises `NothingDownloaded` where no page is left."""
        missing = [*missing, *self._spoiled]
        if not self._planner.parts:
            raise NothingDownloaded(source=self._request.source, cause=PageBroken.code)
        total = len(self._planner.parts)
        archives = [Archive(self._request, part, missing, n, total) for n, part in enumerate(self._planner.parts, 1)]
        files = [self._finished(archive, checkpoint) for archive in archives]
        return Result(files=tuple(files), missing=tuple(missing), saved=self._saved)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for growing in self._growing.values():
            growing.abandon()

    def __enter__(self) -> Self:
        return self

    def _zip_at(self, place: int) -> GrowingZip:
        with self._lock:
            if place not in self._growing:
                unfinished = self._folder.growing if self._takes_pages else self._folder.file_part
                self._growing[place] = GrowingZip(unfinished(f"{place + 1}"), takes=self._takes_pages)
            return self._growing[place]

    def _grow(self, place: int, piece: ChapterPages, checkpoint: Checkpoint) -> None:
        try:
            self._zip_at(place).add(piece, checkpoint)
        except Misplaced:
            self._pack_anew(place, checkpoint)

    def _pack_anew(self, place: int, checkpoint: Checkpoint) -> None:
        """Pack the part into another file; what is in this one stays there, and is copied."""
        self._growing[place].abandon()
        self._growing[place] = GrowingZip(self._folder.file_part(f"{place + 1}"))
        for piece in self._planner.parts[place].chapters:
            self._growing[place].add(piece, checkpoint)

    def _finish_zip(self, archive: Archive, file: Path, checkpoint: Checkpoint) -> None:
        place = archive.number - 1
        try:
            self._growing[place].finish(archive, file)
        except Misplaced:
            self._pack_anew(place, checkpoint)
            self._growing[place].finish(archive, file)

    def _finished(self, archive: Archive, checkpoint: Checkpoint) -> ArchiveFile:
        labels = archive.part.labels
        name = names.archive_name(self._request, labels, archive.number, archive.total)
        file = self._folder.file(name)
        if write := WRITERS[self._request.format]:
            write(archive, self._folder.file_part(name), file, checkpoint)
        else:
            self._finish_zip(archive, file, checkpoint)
        return ArchiveFile(name=name, size=file.stat().st_size, chapters=tuple(labels), pages=archive.part.pages)

    def _alone(self, page: PageFile) -> PageFile:
        """The page in a file of its own, which is what a step takes."""
        part = self._folder.made_page_part("alone", self._places, page.number)
        with part.open("wb") as file:
            file.writelines(page.chunks())
        made = self._folder.made_page("alone", self._places, page.number).with_suffix(page.suffix)
        return replace(page, path=part.rename(made), offset=0)

    def _made_over(self, step: str, make: MakePage, chapter: ChapterPages, checkpoint: Checkpoint) -> ChapterPages:
        """The chapter with what `make` makes of each page."""
        pages: list[PageFile] = []
        for page in chapter.pages:
            checkpoint()
            made = self._folder.made_page(step, self._places, page.number, page.piece)
            part = self._folder.made_page_part(step, self._places, page.number, page.piece)
            try:
                paths = make(page.path, part, made)
            except (OSError, ValueError, SyntaxError) as error:
                if getattr(error, "errno", None):
                    raise
                # Whole by its structure, and yet no picture: only who decodes it finds out.
                self._spoil(chapter, page)
                continue
            if paths == [page.path]:
                pages.append(page)
                continue
            pieces = enumerate(paths, start=1) if len(paths) > 1 else [(page.piece, paths[0])]
            pages += [PageFile.of(page.number, path, piece) for piece, path in pieces]
        return replace(chapter, pages=pages)

    def _spoil(self, chapter: ChapterPages, page: PageFile) -> None:
        found = {"chapter_id": chapter.chapter.id, "chapter": chapter.chapter.label}
        self._spoiled.append(Missing(**found, pages=(page.number,), failure=Failure(code=PageBroken.code)))


def _bytes(chapter: ChapterPages) -> int:
    return sum(page.size for page in chapter.pages)


def _steps(request: DownloadRequest, *, shrink: bool) -> Iterator[tuple[str, MakePage]]:
    """What is done to each page before it is packed."""
    if request.sliced and request.format is not ArchiveFormat.PDF:  # which shows parts of a strip on several pages
        yield "sliced", slice_strip
    if shrink:
        yield SMALLER, partial(_smaller, request)
    if take := TAKEN_AS.get(request.format):
        yield "fitting", partial(take, limit=page_limit(request))


def _smaller(request: DownloadRequest, page: Path, unfinished: Path, made: Path) -> list[Path]:
    kind: Literal["JPEG", "WEBP"] = "WEBP" if request.quality is Quality.WEBP else "JPEG"
    return [make_smaller(page, unfinished, made, width=request.width, kind=kind)]


def _opaque(page: Path, unfinished: Path, made: Path, *, limit: int) -> list[Path]:
    return [make_opaque(page, unfinished, made, limit=limit)]


def _known(page: Path, unfinished: Path, made: Path, *, limit: int) -> list[Path]:
    """The page in a type that every reader of EPUB shows."""
    return [page] if page.suffix in epub.TYPES else _opaque(page, unfinished, made, limit=limit)


TAKEN_AS = {ArchiveFormat.PDF: _opaque, ArchiveFormat.EPUB: _known}
"""Formats that do not take every type of picture, and what makes those fit."""
