"""Pages to disk: many at once, tried again, checked, kept over a restart; what can't be had is named."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import stamina

from tasks.archives.parts import PageFile
from tasks.errors import ManhwaError, PageError, PageGone, PageUnreachable, SourceDown, SourceError
from tasks.jobs.job import Failure, Missing
from tasks.jobs.progress import Meter
from tasks.models import Chapter, DownloadRequest, Page
from tasks.placing import Placing
from tasks.share import Share
from tasks.sources.http import wait_before_retry
from tasks.sources.source import Source
from tasks.workspace import JobFolder

PAGE_ATTEMPTS = 5
FIRST_WAIT, WAITS_GROW, LONGEST_WAIT, SPREAD = 0.1, 3, 20.0, 0.1
"""Seconds before a page is tried again, unless its host says how many: 0.1, 0.3, 0.9 and 2.7, and a little more by chance."""
PAGE_TIMEOUT = 180.0
"""Seconds for all attempts at one page together."""
SILENT_CHAPTERS = 3
"""So many chapters in a row without an answer of the source, and the rest is not asked for any more."""
AHEAD = 4
"""Pages for each connection that are listed before they are fetched: a list may take as long as several pages."""
ATTEMPT_SECONDS = 120.0
"""Seconds for one of them: aiohttp does not notice each kind of broken answer, and would wait for ever."""
JOIN_SECONDS = 0.2
"""How often it is looked whether another job has a chapter by now."""


@dataclass
class Fetched:
    """What was had of one chapter: its pages by number, of `total`, and why the `wanted` others are missing.

    `settled` is set when nothing more will come.
    """

    chapter: Chapter
    total: int = 0
    wanted: Sequence[int] = ()
    pages: dict[int, PageFile] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    failure: Failure | None = None
    """Why there is no page list at all."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def in_order(self) -> list[PageFile]:
        return [self.pages[number] for number in sorted(self.pages)]

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
        self.settled.set()


@dataclass(frozen=True)
class _Task:
    """One page to fetch: of the chapter at that place, the page of that number."""

    place: int
    number: int
    page: Page


@dataclass
class Downloader:
    """Fetches the chapters of one job into its folder, over at most `connections` at a time.

    A page may have `max_bytes`. `share` is where other jobs' chapters are; None = this one is on its own. `placing` knows where
    pages belong in the archives; None = nothing is put there any more.
    """

    request: DownloadRequest
    source: Source
    folder: JobFolder
    meter: Meter
    share: Share | None
    placing: Placing | None
    connections: int
    max_bytes: int

    def __post_init__(self) -> None:
        # Bounded: page lists are read only a little ahead of the pages.
        self._queue: asyncio.Queue[_Task | None] = asyncio.Queue(AHEAD * self.connections)
        self._silent = 0
        self._folders = [self.folder.pages_of(place) for place in range(len(self.request.chapters))]
        self.chapters = [Fetched(chapter) for chapter in self.request.chapters]
        """In the order of the request; what a source withholds is named there."""

    async def fetch(self, enough: asyncio.Event, too_late: Failure) -> None:
        """Fetch all of it. When `enough` is set, what is not there by then stays missing because it was `too_late`."""
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(self._fetch_all())
            stopping = group.create_task(_cancel_when(enough, fetching))
            fetching.add_done_callback(lambda _: stopping.cancel())
        if fetching.cancelled():
            for fetched in [one for one in self.chapters if not one.settled.is_set()]:
                fetched.give_up(too_late)
                if self.share:
                    await self.share.release(fetched.chapter)

    async def _fetch_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(self._work())
            await self._list_pages()
            for _ in range(self.connections):
                await self._queue.put(None)

    async def _list_pages(self) -> None:
        kept = {}
        later = []
        for place, folder in enumerate(self._folders):
            kept[place] = await asyncio.to_thread(folder.open)
            if not await self._begin(place, kept[place]):
                later.append(place)
        while later:
            await asyncio.sleep(JOIN_SECONDS)
            later = [place for place in later if not await self._begin(place, kept[place])]

    async def _begin(self, place: int, kept: dict[int, PageFile]) -> bool:
        """See to it that the pages of that chapter come; False = another job downloads it now."""
        fetched, folder = self.chapters[place], self._folders[place]
        wanted = self.request.only.get(fetched.chapter.id)
        if folder.total is not None and kept.keys() >= set(wanted or range(1, folder.total + 1)):
            # An earlier attempt got the whole chapter: its source need not be asked again.
            self._open(place, folder.total, kept)
            await self._settle(fetched)
            return True
        if self.share:
            if not await self.share.claim(fetched.chapter):
                return False
            pages = await self.share.take(fetched.chapter, folder)
            if pages and pages.keys() >= set(wanted or pages):
                await self.share.release(fetched.chapter)
                self._open(place, len(pages), pages, shared=True)
                fetched.settled.set()
                return True
        await self._ask_for_list(place, kept)
        return True

    async def _ask_for_list(self, place: int, kept: dict[int, PageFile]) -> None:
        fetched = self.chapters[place]
        try:
            if self._silent >= SILENT_CHAPTERS:
                raise SourceDown(source=self.source.name)
            pages = await self.source.pages(fetched.chapter.id, self.request.source_quality)
        except SourceError as error:
            self._silent = self._silent + 1 if isinstance(error, SourceDown) else 0
            fetched.failure = failure(error)
            self.meter.chapter_opened(place, fetched.chapter.label, 0)
            if self.placing:
                self.placing.open(place, 0, ())
            await self._settle(fetched)
        else:
            self._silent = 0
            self._folders[place].note_total(len(pages))
            self._open(place, len(pages), kept)
            await self._queue_pages(place, pages)

    def _open(self, place: int, total: int, there: dict[int, PageFile], *, shared: bool = False) -> None:
        """The chapter has so many pages, and these of them are there."""
        fetched = self.chapters[place]
        fetched.total = total
        fetched.wanted = self.request.only.get(fetched.chapter.id) or range(1, total + 1)
        self.meter.chapter_opened(place, fetched.chapter.label, len(fetched.wanted))
        for number in fetched.wanted:
            if page := there.get(number):
                fetched.pages[number] = page
                (self.meter.page_found if shared else self.meter.page_kept)(place, page.size)
        if shared:
            # It comes into the archive as well, and what is kept for others from there would keep it once more.
            self.placing = None
        if self.placing:
            self.placing.open(place, total, fetched.wanted, fetched.in_order)

    async def _queue_pages(self, place: int, pages: Sequence[Page]) -> None:
        fetched = self.chapters[place]
        for number in [number for number in fetched.wanted if number not in fetched.pages]:
            if number > len(pages):
                self._miss(place, number, Failure(code=PageGone.code))
            else:
                await self._queue.put(_Task(place, number, pages[number - 1]))
        await self._settle_if_done(fetched)

    async def _work(self) -> None:
        while task := await self._queue.get():
            fetched = self.chapters[task.place]
            try:
                page = await self._fetch_page(task)
            except PageError as error:
                self._miss(task.place, task.number, failure(error))
            else:
                fetched.pages[task.number] = page
                self.meter.page_arrived(task.place, page.size)
            await self._settle_if_done(fetched)

    def _miss(self, place: int, number: int, cause: Failure) -> None:
        self.chapters[place].failures[number] = cause
        self.meter.page_missing(place)
        if self.placing:
            self.placing.miss(place, number)

    async def _settle_if_done(self, fetched: Fetched) -> None:
        if len(fetched.pages) + len(fetched.failures) >= len(fetched.wanted) and not fetched.settled.is_set():
            await self._settle(fetched)

    async def _settle(self, fetched: Fetched) -> None:
        fetched.settled.set()
        if self.share is None:
            return
        if fetched.total and len(fetched.pages) == fetched.total:
            self.share.hand_on(fetched.chapter, fetched.in_order)
        else:
            await self.share.release(fetched.chapter)

    async def _fetch_page(self, task: _Task) -> PageFile:
        waits = (FIRST_WAIT, LONGEST_WAIT, SPREAD, WAITS_GROW)
        async for attempt in stamina.retry_context(wait_before_retry, PAGE_ATTEMPTS, PAGE_TIMEOUT, *waits):
            with attempt:
                try:
                    async with asyncio.timeout(ATTEMPT_SECONDS):
                        return await self._read_page(task)
                except TimeoutError as error:
                    raise PageUnreachable(source=self.source.name) from error
        raise PageGone  # not reached: the last attempt returns or raises

    async def _read_page(self, task: _Task) -> PageFile:
        # In the event loop, as a thread for each page costs more than it spares: together about a millisecond.
        spot = self.placing.spot(task.place, task.number) if self.placing else None
        incoming = self._folders[task.place].incoming(task.number, self.max_bytes, spot)
        try:
            async with aclosing(self.source.read(task.page, incoming.expect)) as chunks:
                async for chunk in chunks:
                    incoming.add(chunk)
            return incoming.finish()
        finally:
            incoming.discard()


async def _cancel_when(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()


def failure(error: ManhwaError) -> Failure:
    """What a record keeps of an error."""
    return Failure(code=error.code, detail=error.detail)
