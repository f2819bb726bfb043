"""Pages to disk: many at once, tried again, checked, kept over a restart; what can't be had is named."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import stamina

from tasks.archives.image import check_image
from tasks.errors import ManhwaError, PageError, PageGone, PageTooLarge, SourceDown, SourceError
from tasks.jobs.job import Failure, Missing
from tasks.jobs.progress import Meter
from tasks.models import Chapter, DownloadRequest, Page
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
    """What was had of one chapter: the files of its pages by number, of `total`, and why the `wanted` others are missing."""

    chapter: Chapter
    total: int = 0
    wanted: Sequence[int] = ()
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

    def give_up(self, cause: Failure) -> None:
        """What is neither there nor known to be missing will not come any more."""
        if not self.wanted and not self.failure:
            self.failure = cause
        for number in self.wanted:
            if number not in self.pages:
                self.failures.setdefault(number, cause)


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

    async def fetch(self, request: DownloadRequest, enough: asyncio.Event, too_late: Failure) -> list[Fetched]:
        """Fetch all of it, in the order given. What a source withholds is named in the answer.

        When `enough` is set, what is not there by then stays missing because it was `too_late`.
        """
        self._fetched = [Fetched(chapter) for chapter in request.chapters]
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(self._fetch_all(request))
            stopping = group.create_task(_cancel_when(enough, fetching))
            fetching.add_done_callback(lambda _: stopping.cancel())
        if fetching.cancelled():
            for fetched in self._fetched:
                fetched.give_up(too_late)
        return self._fetched

    async def _fetch_all(self, request: DownloadRequest) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._work())
            await self._list_pages(request)
            for _ in range(self._connections):
                await self._queue.put(None)

    async def _list_pages(self, request: DownloadRequest) -> None:
        silent = 0
        for place, fetched in enumerate(self._fetched):
            wanted, kept = request.only.get(fetched.chapter.id), self._folder.kept_pages(place)
            total = self._folder.page_count(place)
            if total is not None and kept.keys() >= set(wanted or range(1, total + 1)):
                # An earlier attempt got the whole chapter: its source need not be asked again.
                self._open(place, fetched, total, wanted, kept)
                continue
            try:
                if silent >= SILENT_CHAPTERS:
                    raise SourceDown(source=self._source.name)
                pages = await self._source.pages(fetched.chapter.id, request.source_quality)
            except SourceError as error:
                silent = silent + 1 if isinstance(error, SourceDown) else 0
                fetched.failure = failure(error)
                self._meter.chapter_opened(place, fetched.chapter.label, 0)
            else:
                silent = 0
                await asyncio.to_thread(self._folder.note_page_count, place, len(pages))
                self._open(place, fetched, len(pages), wanted, kept)
                await self._queue_pages(place, fetched, pages)

    def _open(
        self, place: int, fetched: Fetched, total: int, wanted: Sequence[int] | None, kept: Mapping[int, Path]
    ) -> None:
        fetched.total = total
        fetched.wanted = wanted or range(1, total + 1)
        self._meter.chapter_opened(place, fetched.chapter.label, len(fetched.wanted))
        for number in fetched.wanted:
            if number in kept:
                fetched.pages[number] = kept[number]
                self._meter.page_kept(place, kept[number].stat().st_size)

    async def _queue_pages(self, place: int, fetched: Fetched, pages: Sequence[Page]) -> None:
        for number in fetched.wanted:
            if number > len(pages):
                fetched.failures[number] = Failure(code=PageGone.code)
                self._meter.page_missing(place)
            elif number not in fetched.pages:
                await self._queue.put(_Task(place, number, pages[number - 1]))

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


async def _cancel_when(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()


def _settle(part: Path) -> str:
    # On disk before it gets its name: a page found there later is whole, whatever ended the machine in between.
    suffix = check_image(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return suffix


def failure(error: ManhwaError) -> Failure:
    """What a record keeps of an error."""
    return Failure(code=error.code, detail=error.detail)
