"""Removes what jobs leave: at once when a job's files were collected, by a sweep what dead processes left."""

import asyncio
import logging
import time

from tasks.cache import ChapterCache
from tasks.dispatch import open_dispatch
from tasks.errors import OtherVersion, StorageDown
from tasks.jobs.job import Job, JobState
from tasks.jobs.store import JobStore
from tasks.logs import about
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.storage import Storage, open_storage
from tasks.supervisor import Supervisor
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

UNCOLLECTED_SECONDS = 24 * 3600
"""Ready files that nobody fetched for so long go."""


def is_stale(job: Job | None, now: float) -> bool:
    """May the folder of this job go? None = no record of it. Nobody may be working at it, which is asked apart."""
    if job is None:
        return True
    if job.state is JobState.READY:
        return now - (job.ended_at or job.created_at) > UNCOLLECTED_SECONDS
    return not job.state.is_open


async def clean_up(job_id: str, settings: TaskSettings) -> None:
    """The files of the job went where they were wanted: remove them. An open job is left alone."""
    async with open_redis(settings.redis_url) as redis:
        store = JobStore(redis)
        await store.collect(job_id)
        await remove_if_stale(job_id, store, open_storage(settings))


async def sweep(settings: TaskSettings) -> int:
    """Remove everything that no live job needs, of this disk and the storage; of how many jobs something went.

    Lost jobs are sent again, should no bot be there to do it. The cache of chapters shrinks to its limit.
    """
    await _shrink_cache(settings)
    async with open_redis(settings.redis_url) as redis:
        store = JobStore(redis)
        async with open_dispatch(settings, store) as dispatch:
            # It looks once, so it can't wait for a message that may be on its way: sent twice does no harm.
            await Supervisor(store, dispatch, sweeps_in_vain=1).sweep_if_due()
        return await _sweep(store, open_storage(settings))


async def sweep_disk(settings: TaskSettings) -> int:
    """The same for a worker's own disk alone, which no sweep from elsewhere reaches."""
    await _shrink_cache(settings)
    disk = Storage(Workspace(settings), None)
    if not await disk.job_ids():
        return 0
    async with open_redis(settings.redis_url) as redis:
        return await _sweep(JobStore(redis), disk)


async def _shrink_cache(settings: TaskSettings) -> None:
    await asyncio.to_thread(ChapterCache(Workspace(settings).chapters, settings.cache_limit).shrink)


async def _sweep(store: JobStore, storage: Storage) -> int:
    return sum([await remove_if_stale(job_id, store, storage) for job_id in await storage.job_ids()])


async def remove_if_stale(job_id: str, store: JobStore, storage: Storage) -> bool:
    """Remove everything of the job if nobody needs it any more; whether it went. What did not is for the next sweep."""
    # The lease is asked for after the record: a worker of an ended job still holds it while it leaves the folder.
    try:
        stale = is_stale(await store.read(job_id), time.time())
    except OtherVersion:
        # Those who understand it may still want its files.
        stale = await store.has_ended(job_id)
    if not stale or await store.has_lease(job_id):
        return False
    await store.collect(job_id)
    with about(job=job_id):
        try:
            await storage.remove(job_id)
        except (StorageDown, OSError) as error:  # on a shared folder another machine may still have a file open
            log.warning("not all of it could be removed: %s", error)
            return False
        log.info("removed")
    return True
