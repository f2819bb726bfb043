"""Jobs whose files are fetched over HTTP, by programs that asked for them."""

import asyncio
import logging
import time

from redis.exceptions import RedisError

from bot.delivery.desk import Canceller
from bot.memory.fetches import Fetches
from bot.memory.watchers import Holder, Watchers
from tasks.dispatch import Dispatch, Submitted
from tasks.jobs.job import Job, JobState
from tasks.jobs.store import JobStore
from tasks.logs import about
from tasks.models import DownloadRequest

log = logging.getLogger(__name__)

KEEP_SECONDS = 24 * 3600
"""How long files wait for a program that asked for them; the sweep keeps to the same."""
OTHERS_SECONDS = 60
"""And so long, from when one of several who asked for the same has fetched it."""
BY_API = "the web API"
OVER = {JobState.CANCELLED, JobState.COLLECTED}
TRIES = 3
LOOK_SECONDS = 60.0
FETCHING_SECONDS = 60
"""What somebody fetches when its time is over is kept for so much longer."""


class Pickup:
    """Keeps jobs for those who fetch, and lets go of them."""

    def __init__(
        self, dispatch: Dispatch, store: JobStore, watchers: Watchers, fetches: Fetches, canceller: Canceller
    ) -> None:
        self._dispatch = dispatch
        self._store = store
        self._watchers = watchers
        self._fetches = fetches
        self._canceller = canceller

    async def run(self) -> None:
        """Let go of what nobody came for in time, for ever."""
        while True:
            try:
                await self.release_old()
            except RedisError as error:
                log.warning("what was not fetched can't be looked for: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def take(self, request: DownloadRequest, requester: str) -> Submitted:
        """Start or join the job, and keep it for who asked. Raises `RequestError`."""
        for _ in range(TRIES):
            submitted = await self._dispatch.submit(request, requester)
            stays = await self._watchers.hold(submitted.job_id, Holder.API, time.time() + KEEP_SECONDS)
            job = await self._store.read_if_possible(submitted.job_id)
            # Joined just as it ended for those who had asked before: then the next one is new.
            if stays and job and job.state not in OVER:
                await self._fetches.asked(job.id)
                break
            await self._watchers.release(submitted.job_id, Holder.API)
            if not stays or job is None:  # another release's: those who wait for it are told, and the next one is ours
                await self._dispatch.let_go(submitted.job_id)
        return submitted

    async def cancel(self, job: Job) -> bool:
        """Who asked over the web API wants it no more; whether the job ended, as nobody else does."""
        await self._watchers.release(job.id, Holder.API)
        return await self._canceller.end_if_unwanted(job.id, BY_API)

    async def fetched(self, job: Job) -> None:
        """Somebody's fetch is over: where all of the file was fetched by now, and nobody fetches it any more, it may go.

        One that was asked for more often stays a while for the others: nobody knows whether they are one program that asked
        again.
        """
        fetched, asked = await self._fetches.times(job.id)
        if 0 < fetched < asked:
            await self._watchers.hold(job.id, Holder.API, time.time() + OTHERS_SECONDS)
        elif fetched:
            await self._release(job.id, Holder.API)

    async def is_leaving(self, job_id: str) -> bool:
        """Whether its files go, or are gone. Those that don't when somebody has begun to fetch stay until they are done."""
        if await self._watchers.is_released(job_id):
            return True
        job = await self._store.read_if_possible(job_id)
        return job is None or job.state in OVER

    async def release_old(self) -> None:
        """Let go of what nobody came for in time."""
        now = time.time()
        for job_id, holder in await self._watchers.held_until(now):
            job = await self._store.read_if_possible(job_id)
            if job and job.state.is_open:
                await self._watchers.hold(job_id, holder, now + KEEP_SECONDS)
            elif await self._fetches.going_on(job_id):
                await self._watchers.hold(job_id, holder, now + FETCHING_SECONDS)
            else:
                await self._release(job_id, holder, now)

    async def _release(self, job_id: str, holder: Holder, held_until: float | None = None) -> None:
        released = await self._watchers.release(job_id, holder, held_until, self._fetches.key_of(job_id))
        if released.was_held and released.is_last:
            with about(job=job_id):
                log.info("fetched, or not wanted any more")
            await self._dispatch.let_go(job_id)
            await self._watchers.forget(job_id)
