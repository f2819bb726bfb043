"""Pages to disk: many at once, tried again, checked, kept over a restart; what can't be had is named."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import stamina

from tasks.archives.image import check_image
from tasks.errors import ManhwaError, PageError, PageTooLarge, SourceDown, SourceError
from tasks.jobs.job import Failure, Missing
from tasks.jobs.progress import Meter
from tasks.models import Chapter, Page
from tasks.sources.http import wait_before_retry
from tasks.sources.source import Source
from tasks.workspace import JobFolder

PAGE_ATTEMPTS = 4
PAGE_TIMEOUT = 180.0
"""Seconds for all attempts at one page together."""
SILENT_CHAPTERS = 3
"""So many chapters in a row without an answer of the source, and the rest is not asked for any more."""


@dataclass
class Fetched:
    """What was had of one chapter: the files of its pages by number, of `total`, and why the others are missing."""

    chapter: Chapter
    total: int = 0
    pages: dict[int, Path] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    failure: Failure | None = None
    """Why there is no page list at all."""

    def missing(self) -> list[Missing]:
        """What is missing of it, pages of one cause together."""
        found = {"chapter_id": self.chapter.id, "chapter": self.chapter.label}
        if self.failure:
            return [Missing(**found, failure=self.failure)]
        causes = {failure.code: failure for failure in self.failures.values()}
        return [
            Missing(**found, failure=cause, pages=tuple(n for n, f in sorted(self.failures.items()) if f.code == code))
            for code, cause in sorted(causes.items())
        ]


@dataclass(frozen=True)
class _Task:
    """One page to fetch: of the chapter at that place, the page of that number."""

    place: int
    number: int
    page: Page


class Downloader:
    """Fetches the chapters of one job into its folder, over at most `connections` at a time."""

    def __init__(self, source: Source, folder: JobFolder, meter: Meter, connections: int, max_bytes: int) -> None:
        self._source = source
        self._folder = folder
        self._meter = meter
        self._connections = connections
        self._max_bytes = max_bytes
        # Bounded: page lists are read only a little ahead of the pages.
        self._queue: asyncio.Queue[_Task | None] = asyncio.Queue(connections)
        self._fetched: list[Fetched] = []

    async def fetch(self, chapters: Sequence[Chapter]) -> list[Fetched]:
        """Fetch all of it, in the order given. What a source withholds is named in the answer."""
        self._fetched = [Fetched(chapter) for chapter in chapters]
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._work())
            await self._list_pages()
            for _ in range(self._connections):
                await self._queue.put(None)
        return self._fetched

    async def _list_pages(self) -> None:
        silent = 0
        for place, fetched in enumerate(self._fetched):
            try:
                if silent >= SILENT_CHAPTERS:
                    raise SourceDown(source=self._source.name)
                pages = await self._source.pages(fetched.chapter.id)
            except SourceError as error:
                silent = silent + 1 if isinstance(error, SourceDown) else 0
                fetched.failure = failure(error)
                self._meter.chapter_opened(place, fetched.chapter.label, 0)
            else:
                silent = 0
                await self._queue_pages(place, fetched, pages)

    async def _queue_pages(self, place: int, fetched: Fetched, pages: Sequence[Page]) -> None:
        fetched.total = len(pages)
        self._meter.chapter_opened(place, fetched.chapter.label, len(pages))
        kept = self._folder.kept_pages(place)
        for number, page in enumerate(pages, start=1):
            if number in kept:
                fetched.pages[number] = kept[number]
                self._meter.page_kept(place, kept[number].stat().st_size)
            else:
                await self._queue.put(_Task(place, number, page))

    async def _work(self) -> None:
        while task := await self._queue.get():
            fetched = self._fetched[task.place]
            try:
                path = await self._fetch_page(task)
            except PageError as error:
                fetched.failures[task.number] = failure(error)
                self._meter.page_missing(task.place)
            else:
                fetched.pages[task.number] = path
                self._meter.page_arrived(task.place, path.stat().st_size)

    async def _fetch_page(self, task: _Task) -> Path:
        part = self._folder.page_part(task.place, task.number)
        try:
            async for attempt in stamina.retry_context(wait_before_retry, PAGE_ATTEMPTS, PAGE_TIMEOUT, 0.5, 20.0):
                with attempt:
                    await self._stream(task.page, part)
                    suffix = await asyncio.to_thread(_settle, part)
            return part.rename(self._folder.page(task.place, task.number, suffix))
        finally:
            part.unlink(missing_ok=True)

    async def _stream(self, page: Page, part: Path) -> None:
        size = 0
        with part.open("wb") as file:
            async with aclosing(self._source.read(page)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise PageTooLarge(f"more than {self._max_bytes} bytes")
                    file.write(chunk)


def _settle(part: Path) -> str:
    # On disk before it gets its name: a page found there later is whole, whatever ended the machine in between.
    suffix = check_image(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return suffix


def failure(error: ManhwaError) -> Failure:
    """What a record keeps of an error."""
    return Failure(code=error.code, detail=error.detail)
