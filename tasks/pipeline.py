"""One job from request to ready files, in the order you would tell it."""

import asyncio
import errno
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from tasks.archives import epub, names
from tasks.archives.parts import ChapterPages, PageFile, plan
from tasks.archives.pdf import write_pdf
from tasks.archives.pictures import make_opaque, make_smaller
from tasks.archives.strips import slice_strip
from tasks.archives.zip import Archive, Checkpoint, write_zip
from tasks.dispatch import open_dispatch
from tasks.download import Downloader, Fetched, failure
from tasks.errors import (
    DiskFull,
    GaveWay,
    JobCancelled,
    JobError,
    LeaseLost,
    NoRoom,
    NothingDownloaded,
    RequestError,
    TimeIsUp,
)
from tasks.janitor import remove_if_stale
from tasks.jobs.job import ArchiveFile, Job, JobState, Progress, Result
from tasks.jobs.progress import Meter
from tasks.jobs.store import JobStore, Lease
from tasks.models import ArchiveFormat, DownloadRequest, Quality
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.sources.registry import open_sources
from tasks.workspace import JobFolder, Workspace

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
"""How often the lease is renewed, progress published and a cancellation noticed."""
MAX_PAGE_BYTES = 40_000_000
KEPT_FREE = 100_000_000
"""Bytes of the disk that no job may count on: records and logs live there as well."""
FIRST_GUESS_OF_A_CHAPTER = 5_000_000
"""Bytes, before any job has finished; low, as a guess too high refuses jobs that would fit."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

T = TypeVar("T")
MakePage = Callable[[Path, Path, Path], list[Path]]
"""Makes a page over: of this one, by way of the second, at the third but for its suffix; where the results are."""
WRITERS = {
    ArchiveFormat.ZIP: write_zip,
    ArchiveFormat.CBZ: write_zip,
    ArchiveFormat.PDF: write_pdf,
    ArchiveFormat.EPUB: epub.write_epub,
}
Report = Callable[[JobState, Progress], Awaitable[None]]
"""Told about once a second how far the job is, for those who look at Celery's states."""


async def run(job_id: str, settings: TaskSettings, report: Report) -> Result | None:
    """Do the job, unless another worker is at it or it has ended: then None, and nothing was touched.

    Raises the `JobError` the job ended with, after it is in the record and the job's folder is gone; `LeaseLost` when
    another worker took over; `GaveWay` when the job is to go on later. Whatever else ends it (a stopped worker, a lost
    Redis) gives the job back to the queue.
    """
    async with open_redis(settings.redis_url) as redis:
        store = JobStore(redis)
        lease, called = await store.take_lease(job_id)
        if called:
            async with open_dispatch(settings, store) as dispatch:
                await dispatch.send(called)
        job = await store.read(job_id) if lease else None
        if lease is None or job is None:
            return None
        log.info("job %s: attempt %s starts", job_id, job.attempt)
        return await _Attempt(settings, store, lease, job, report).run()


class _Attempt:
    """One worker's attempt at one job."""

    def __init__(self, settings: TaskSettings, store: JobStore, lease: Lease, job: Job, report: Report) -> None:
        self._settings = settings
        self._store = store
        self._lease = lease
        self._job = job
        self._report = report
        self._workspace = Workspace(settings)
        self._folder = self._workspace.folder(job.id, lease.fence)
        self._meter = Meter(len(job.request.chapters))
        self._state = JobState.DOWNLOADING
        self._enough = asyncio.Event()

    async def run(self) -> Result:
        # Celery's own handler raises wherever it strikes, which asyncio may swallow.
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._enough.set)
        started = time.monotonic()
        try:
            result = await _beside(self._make(), self._keep(), self._tell())
            await self._store.finish(self._lease, result)
            # They are in the archives, and were needed until that was on record.
            self._folder.discard_pages()
            await self._report(JobState.READY, self._meter.progress())
        except GaveWay:
            log.info("job %s: gives way to others", self._job.id)
            raise  # its pages are for the worker that goes on with it
        except (LeaseLost, JobCancelled):
            await self._store.drop_lease(self._lease)
            await remove_if_stale(self._job.id, self._store, self._workspace)
            raise
        except (JobError, RequestError, OSError, asyncio.CancelledError) as error:
            end = _end_for(error)
            if end is None:
                await self._give_back(error)
                raise
            await self._fail(end)
            raise end from error
        await self._store.remember_finished(time.monotonic() - started, self._meter.chapter_bytes)
        log.info("job %s: ready, %s pages", self._job.id, result.pages)
        return result

    async def _give_back(self, error: BaseException) -> None:
        # A worker that is told to stop gives the job to the next one; after an error of its own the lease runs out,
        # and the attempt counts as lost.
        if isinstance(error, asyncio.CancelledError):
            await self._store.drop_lease(self._lease)

    async def _fail(self, error: JobError | RequestError) -> None:
        self._workspace.remove(self._job.id)
        await self._store.fail(self._lease, failure(error))
        log.warning("job %s: failed, %s", self._job.id, error)

    async def _keep(self) -> None:
        while True:
            await self._store.keep_lease(self._lease, self._meter.progress())
            await asyncio.sleep(RENEW_SECONDS)

    async def _tell(self) -> None:
        # Apart from the lease, which must not wait for onlookers.
        while True:
            await self._report(self._state, self._meter.progress())
            await asyncio.sleep(RENEW_SECONDS)

    async def _make(self) -> Result:
        await self._check_room()
        self._folder.discard_parts()
        request = self._job.request
        async with open_redis(self._settings.redis_url) as redis, open_sources(self._settings, redis) as sources:
            source = sources.get(request.source)
            downloader = Downloader(
                source,
                self._folder,
                self._meter,
                self._settings.download_concurrency,
                _page_limit(request),
            )
            too_late = failure(TimeIsUp(seconds=self._settings.task_soft_time_limit))
            fetched = await downloader.fetch(request, self._enough, too_late)
        if not any(chapter.pages for chapter in fetched):
            raise _nothing(fetched)
        own = source.has_smaller and request.source_quality is not Quality.ORIGINAL
        shrink = request.quality is not Quality.ORIGINAL and not own
        self._state = JobState.PACKING
        await self._store.start_packing(self._lease, self._meter.progress())
        return await _in_thread(partial(_pack, self._job, self._folder, fetched, shrink=shrink))

    async def _check_room(self) -> None:
        # Twice: packing writes what was downloaded once more.
        chapters = len(self._job.request.chapters)
        usual = await self._store.usual_chapter_bytes() or FIRST_GUESS_OF_A_CHAPTER
        needed = 2 * chapters * usual + KEPT_FREE
        free = self._workspace.free_bytes() + self._folder.size()
        if free < needed:
            raise NoRoom(needed=needed // 1_000_000, free=free // 1_000_000)


def _end_for(error: BaseException) -> JobError | RequestError | None:
    """What the job ends with after this error; None = another attempt may have more luck."""
    if isinstance(error, JobError | RequestError):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return DiskFull()
    return None


def _nothing(fetched: Sequence[Fetched]) -> NothingDownloaded:
    first = fetched[0].missing()[0].failure
    return NothingDownloaded(**{**first.detail, "cause": first.code})


def _pack(job: Job, folder: JobFolder, fetched: Sequence[Fetched], checkpoint: Checkpoint, *, shrink: bool) -> Result:
    request = job.request
    missing = [one for chapter in fetched for one in chapter.missing()]
    chapters, saved = _chapter_pages(fetched), 0
    if request.sliced and request.format is not ArchiveFormat.PDF:  # which shows parts of a strip on several pages
        chapters = _made_over("sliced", slice_strip, folder, chapters, checkpoint)
    if shrink:
        before = _bytes(chapters)
        chapters = _made_over("smaller", partial(_smaller, request), folder, chapters, checkpoint)
        saved = before - _bytes(chapters)
    if step := TAKEN_AS.get(request.format):
        make = partial(step, limit=_page_limit(request))
        chapters = _made_over("fitting", make, folder, chapters, checkpoint)
    parts = plan(chapters, request.part_limit, request.split)
    files = [
        _write(job, folder, Archive(request, part, missing, n, len(parts)), checkpoint)
        for n, part in enumerate(parts, 1)
    ]
    return Result(files=tuple(files), missing=tuple(missing), saved=saved)


def _page_limit(request: DownloadRequest) -> int:
    """Bytes a page may have: two of them have to fit into a file."""
    return min(MAX_PAGE_BYTES, request.part_limit // 2)


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


def _made_over(
    step: str, make: MakePage, folder: JobFolder, chapters: Sequence[ChapterPages], checkpoint: Checkpoint
) -> list[ChapterPages]:
    """The chapters with what `make` makes of each page."""
    made = []
    for place, chapter in enumerate(chapters):
        pages: list[PageFile] = []
        for page in chapter.pages:
            checkpoint()
            unfinished = folder.made_page_part(step, place, page.number, page.piece)
            paths = make(page.path, unfinished, folder.made_page(step, place, page.number, page.piece))
            pieces = enumerate(paths, start=1) if len(paths) > 1 else [(page.piece, paths[0])]
            pages += [PageFile(page.number, path, path.stat().st_size, piece) for piece, path in pieces]
        made.append(replace(chapter, pages=pages))
    return made


def _bytes(chapters: Iterable[ChapterPages]) -> int:
    return sum(page.size for chapter in chapters for page in chapter.pages)


def _chapter_pages(fetched: Sequence[Fetched]) -> list[ChapterPages]:
    folders = names.chapter_folders(chapter.chapter for chapter in fetched)
    return [
        ChapterPages(
            chapter.chapter,
            name,
            chapter.total,
            [PageFile(number, path, path.stat().st_size) for number, path in sorted(chapter.pages.items())],
        )
        for chapter, name in zip(fetched, folders, strict=True)
        if chapter.pages
    ]


def _write(job: Job, folder: JobFolder, archive: Archive, checkpoint: Checkpoint) -> ArchiveFile:
    labels = archive.part.labels
    name = names.archive_name(job.request, labels, archive.number, archive.total)
    WRITERS[job.request.format](archive, folder.file_part(name), folder.file(name), checkpoint)
    size = folder.file(name).stat().st_size
    return ArchiveFile(name=name, size=size, chapters=tuple(labels), pages=archive.part.pages)


class _Stopped(Exception):
    """Ends work in a thread that nobody waits for any more."""


async def _in_thread(work: Callable[[Checkpoint], T]) -> T:
    """Do the work in a thread. A cancellation ends it at its next checkpoint, and comes out when it has written its last."""
    stopped = threading.Event()

    def checkpoint() -> None:
        if stopped.is_set():
            raise _Stopped

    running = asyncio.ensure_future(asyncio.to_thread(work, checkpoint))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({running})
        raise


async def _beside(work: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, None]) -> T:
    """The work's result, while the others run beside it; an error of one ends all and comes out bare."""
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(other) for other in others]
            result = await work
            for other in running:
                other.cancel()
            return result
    except BaseExceptionGroup as errors:
        raise _innermost(errors) from None


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
