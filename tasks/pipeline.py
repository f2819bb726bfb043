"""One job from request to ready files, in the order you would tell it."""

import asyncio
import errno
import logging
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tasks.archives import names
from tasks.archives.parts import ChapterPages, PageFile, plan
from tasks.archives.zip import Archive, write_zip
from tasks.download import Downloader, Fetched, failure
from tasks.errors import DiskFull, JobCancelled, JobError, LeaseLost, NothingDownloaded, RequestError, TimeIsUp
from tasks.jobs.job import ArchiveFile, Job, JobState, Progress, Result
from tasks.jobs.progress import Meter
from tasks.jobs.store import JobStore, Lease
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.sources.registry import open_sources
from tasks.workspace import JobFolder, Workspace

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
"""How often the lease is renewed, progress published and a cancellation noticed."""
MAX_PAGE_BYTES = 40_000_000

T = TypeVar("T")
Report = Callable[[JobState, Progress], Awaitable[None]]
"""Told about once a second how far the job is, for those who look at Celery's states."""


async def run(job_id: str, settings: TaskSettings, report: Report) -> Result | None:
    """Do the job, unless another worker is at it or it has ended: then None, and nothing was touched.

    Raises the `JobError` the job ended with, after it is in the record and the job's folder is gone; `LeaseLost` when
    another worker took over. Whatever else ends it (a stopped worker, a lost Redis) gives the job back to the queue.
    """
    async with open_redis(settings.redis_url) as redis:
        store = JobStore(redis)
        lease = await store.take_lease(job_id)
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
        self._time_is_up = False

    async def run(self) -> Result:
        self._watch_soft_limit()
        started = time.monotonic()
        try:
            result = await _beside(self._keep(), self._make())
            await self._store.finish(self._lease, result)
        except LeaseLost:
            raise  # the folder belongs to another worker now
        except JobCancelled:
            self._workspace.remove(self._job.id)
            raise
        except (JobError, RequestError, OSError, asyncio.CancelledError) as error:
            end = self._end_for(error)
            if end is None:
                await self._give_back(error)
                raise
            await self._fail(end)
            raise end from error
        await self._store.remember_duration(time.monotonic() - started)
        log.info("job %s: ready, %s pages", self._job.id, result.pages)
        return result

    def _end_for(self, error: BaseException) -> JobError | RequestError | None:
        """What the job ends with after this error; None = another attempt may have more luck."""
        if isinstance(error, JobError | RequestError):
            return error
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DiskFull()
        if isinstance(error, asyncio.CancelledError) and self._time_is_up:
            return TimeIsUp(seconds=self._settings.task_soft_time_limit)
        return None

    async def _give_back(self, error: BaseException) -> None:
        # A worker that is told to stop gives the job to the next one; after an error of its own the lease runs out,
        # and the attempt counts as lost.
        if isinstance(error, asyncio.CancelledError):
            await self._store.drop_lease(self._lease)

    def _watch_soft_limit(self) -> None:
        # Celery's own handler raises wherever it strikes, which asyncio may swallow; cancelling is heard everywhere.
        task = asyncio.current_task()

        def stop() -> None:
            self._time_is_up = True
            if task:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stop)

    async def _fail(self, error: JobError | RequestError) -> None:
        self._workspace.remove(self._job.id)
        await self._store.fail(self._lease, failure(error))
        log.warning("job %s: failed, %s", self._job.id, error)

    async def _keep(self) -> None:
        while True:
            progress = self._meter.progress()
            await self._store.keep_lease(self._lease, progress)
            await self._report(self._state, progress)
            await asyncio.sleep(RENEW_SECONDS)

    async def _make(self) -> Result:
        request = self._job.request
        async with open_sources(self._settings) as sources:
            downloader = Downloader(
                sources.get(request.source),
                self._folder,
                self._meter,
                self._settings.download_concurrency,
                min(MAX_PAGE_BYTES, request.part_limit // 2),
            )
            fetched = await downloader.fetch(request.chapters)
        if not any(chapter.pages for chapter in fetched):
            raise _nothing(fetched)
        self._state = JobState.PACKING
        progress = self._meter.progress()
        await self._store.start_packing(self._lease, progress)
        await self._report(self._state, progress)
        return await asyncio.to_thread(_pack, self._job, self._folder, fetched)


def _nothing(fetched: Sequence[Fetched]) -> NothingDownloaded:
    first = fetched[0].missing()[0].failure
    return NothingDownloaded(**{**first.detail, "cause": first.code})


def _pack(job: Job, folder: JobFolder, fetched: Sequence[Fetched]) -> Result:
    missing = [one for chapter in fetched for one in chapter.missing()]
    parts = plan(_chapter_pages(fetched), job.request.part_limit)
    files = [_write(job, folder, Archive(job.request, part, missing, n, len(parts))) for n, part in enumerate(parts, 1)]
    # The pages are in the archives now: the disk needs to hold them twice no longer than this.
    shutil.rmtree(folder.path / "pages", ignore_errors=True)
    return Result(files=tuple(files), missing=tuple(missing))


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


def _write(job: Job, folder: JobFolder, archive: Archive) -> ArchiveFile:
    labels = archive.part.labels
    name = names.archive_name(job.request.title, labels, archive.number, archive.total, job.request.format.value)
    write_zip(archive, folder.file_part(name), folder.file(name))
    size = folder.file(name).stat().st_size
    return ArchiveFile(name=name, size=size, chapters=tuple(labels), pages=archive.part.pages)


async def _beside(keeping: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """The work's result, while `keeping` runs beside it; an error of either ends both and comes out bare."""
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(keeping)
            result = await work
            keeper.cancel()
            return result
    except BaseExceptionGroup as errors:
        raise _innermost(errors) from None


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
