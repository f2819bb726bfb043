"""One job from request to ready files, in the order you would tell it."""

import asyncio
import errno
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tasks.archives import names
from tasks.archives.parts import ChapterPages
from tasks.archives.zip import Checkpoint
from tasks.cache import ChapterCache
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
    OtherVersion,
    RequestError,
    StorageError,
    TimeIsUp,
)
from tasks.janitor import remove_if_stale
from tasks.jobs.chapter_leases import ChapterLeases
from tasks.jobs.job import Job, JobState, Missing, Progress, Result
from tasks.jobs.progress import Meter
from tasks.jobs.store import JobStore, Lease
from tasks.logs import about
from tasks.models import Quality
from tasks.packing import Packer, page_limit
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.share import Share
from tasks.sources.registry import Sources, open_sources
from tasks.sources.source import Source
from tasks.storage import Storage, open_storage
from tasks.workspace import Workspace, needed_bytes

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
"""How often the lease is renewed, progress published and a cancellation noticed."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Ended = JobError | RequestError | StorageError
T = TypeVar("T")
Report = Callable[[JobState, Progress], Awaitable[None]]
"""Told about once a second how far the job is, for those who look at Celery's states."""


async def run(job_id: str, settings: TaskSettings, report: Report) -> Result | None:
    """Do the job, unless another worker is at it or it has ended: then None, and nothing was touched.

    Raises the `JobError` the job ended with, after it is in the record and the job's folder is gone; `LeaseLost` when
    another worker took over; `GaveWay` when the job is to go on later. Whatever else ends it (a stopped worker, a lost
    Redis) gives the job back to the queue.
    """
    async with open_redis(settings.redis_url) as redis, open_sources(settings, redis) as sources:
        store = JobStore(redis)
        lease, called = await store.take_lease(job_id)
        if called:
            async with open_dispatch(settings, store) as dispatch:
                await dispatch.send(called)
        if lease is None:
            return None
        try:
            job = await store.read(job_id)
        except OtherVersion as error:
            log.error("refused: %s", error)  # noqa: TRY400
            await store.fail(lease, failure(error))
            raise
        if job is None:
            return None
        with about(source=job.request.source):
            log.info("attempt %s starts", job.attempt)
            workspace = Workspace(settings)
            leases = ChapterLeases(redis, lease, workspace.disk())
            attempt = _Attempt(settings, store, leases, lease, job, workspace, open_storage(settings), report)
            return await attempt.run(sources)


@dataclass
class _Attempt:
    """One worker's attempt at one job."""

    settings: TaskSettings
    store: JobStore
    leases: ChapterLeases
    lease: Lease
    job: Job
    workspace: Workspace
    storage: Storage
    report: Report

    def __post_init__(self) -> None:
        self._folder = self.workspace.folder(self.job.id, self.lease.fence)
        self._cache = ChapterCache(self.workspace.chapters, self.settings.cache_limit)
        self._share = Share(self.job.request, self._cache, self.leases)
        self._meter = Meter(len(self.job.request.chapters))
        self._state = JobState.DOWNLOADING
        self._enough = asyncio.Event()

    async def run(self, sources: Sources) -> Result:
        # Celery's own handler raises wherever it strikes, which asyncio may swallow.
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._enough.set)
        started = time.monotonic()
        try:
            try:
                result = await _beside(self._make(sources), self._keep(), self._tell())
                await self.store.finish(self.lease, result)
            finally:
                await self._share.close()
            # The pages are in the archives, and were needed until that was on record.
            self.storage.leave(self._folder)
            await self.report(JobState.READY, self._meter.progress())
        except GaveWay:
            log.info("gives way to others")
            raise  # its pages are for the worker that goes on with it
        except (LeaseLost, JobCancelled):
            await self.store.drop_lease(self.lease)
            await remove_if_stale(self.job.id, self.store, self.storage)
            raise
        except (JobError, RequestError, StorageError, OSError, asyncio.CancelledError) as error:
            end = _end_for(error)
            if end is None:
                await self._give_back(error)
                raise
            await self._fail(end)
            raise end from error
        await self.store.remember_finished(time.monotonic() - started, self._meter.chapter_bytes)
        log.info("ready, %s pages", result.pages)
        return result

    async def _give_back(self, error: BaseException) -> None:
        # A worker that is told to stop gives the job to the next one; after an error of its own the lease runs out,
        # and the attempt counts as lost.
        if not isinstance(error, asyncio.CancelledError):
            # Files that went away under the work are those of a job that another worker has ended.
            await self.store.check_lease(self.lease)
        elif await self.store.drop_lease(self.lease):
            log.info("given back")
            # The message it came with returns only when the whole worker is gone.
            async with open_dispatch(self.settings, self.store) as dispatch:
                await dispatch.send(self.job.id)

    async def _fail(self, error: Ended) -> None:
        # The folder may be another worker's by now, where this one was cut off from all but the disk.
        await self.store.check_lease(self.lease)
        # Before it is on record: Redis may need the room.
        self.workspace.remove(self.job.id)
        await self.store.fail(self.lease, failure(error))
        log.warning("failed, %s", error)

    async def _keep(self) -> None:
        while True:
            await self.store.keep_lease(self.lease, self._meter.progress())
            await self.leases.renew()
            await asyncio.sleep(RENEW_SECONDS)

    async def _tell(self) -> None:
        # Apart from the lease, which must not wait for onlookers.
        while True:
            await self.report(self._state, self._meter.progress())
            await asyncio.sleep(RENEW_SECONDS)

    async def _make(self, sources: Sources) -> Result:
        await self._check_room()
        self._folder.discard_parts()
        request = self.job.request
        source = sources.get(request.source)
        too_late = failure(TimeIsUp(seconds=self.settings.task_soft_time_limit))
        with Packer(request, self._folder, shrink=self._must_shrink(source)) as packer:
            downloader = Downloader(
                request,
                source,
                self._folder,
                self._meter,
                self._share if self.settings.cache_limit and not source.is_local else None,
                packer.placing(),
                connections=self.settings.download_concurrency,
                max_bytes=page_limit(request),
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(downloader.fetch(self._enough, too_late))
                result = await _pack(packer, downloader.chapters, self._start_packing)
        return await self.storage.put(self._folder, result)

    def _must_shrink(self, source: Source) -> bool:
        """Whether smaller pages are wanted that the source does not have."""
        request = self.job.request
        own = source.has_smaller and request.source_quality is not Quality.ORIGINAL
        return request.quality is not Quality.ORIGINAL and not own

    async def _start_packing(self) -> None:
        self._state = JobState.PACKING
        await self.store.start_packing(self.lease, self._meter.progress())

    async def _check_room(self) -> None:
        needed = needed_bytes(len(self.job.request.chapters), await self.store.usual_chapter_bytes())
        free = self.workspace.free_bytes() + self._folder.size()
        if free < needed:
            await asyncio.to_thread(self._make_room, needed - free)
            # What other jobs hold of it frees nothing yet.
            free = self.workspace.free_bytes() + self._folder.size()
        if free < needed:
            raise NoRoom(needed=needed // 1_000_000, free=free // 1_000_000)

    def _make_room(self, short: int) -> None:
        """Let the cache give up what the job is short of."""
        self._cache.shrink(max(0, self._cache.size - short))


def _end_for(error: BaseException) -> Ended | None:
    """What the job ends with after this error; None = another attempt may have more luck."""
    if isinstance(error, Ended):
        return error
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return DiskFull()
    return None


async def _pack(packer: Packer, chapters: Sequence[Fetched], packing: Callable[[], Awaitable[None]]) -> Result:
    """Pack chapters as they come; `packing` is awaited when all of them are there."""
    folders = names.chapter_folders(one.chapter for one in chapters)
    missing: list[Missing] = []
    for one, folder in zip(chapters, folders, strict=True):
        await one.settled.wait()
        missing += one.missing()
        if one.pages:
            pages = ChapterPages(one.chapter, folder, one.total, one.in_order)
            await _in_thread(partial(packer.add, pages))
    if not any(one.pages for one in chapters):
        raise _nothing(missing)
    await packing()
    return await _in_thread(partial(packer.finish, missing))


def _nothing(missing: Sequence[Missing]) -> NothingDownloaded:
    first = missing[0].failure
    return NothingDownloaded(**{**first.detail, "cause": first.code})


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
