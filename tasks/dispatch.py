"""The front door of the queue: the only code that puts jobs and clean-ups into it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.errors import NoChapters, TimeIsUp, TooManyChapters
from tasks.jobs.job import Failure
from tasks.jobs.store import JobStore
from tasks.logs import about
from tasks.models import DownloadRequest
from tasks.settings import TaskSettings

log = logging.getLogger(__name__)

DOWNLOADS = "downloads"
CLEANUP = "cleanup"
DOWNLOAD_TASK = "tasks.download"
CLEAN_UP_TASK = "tasks.clean_up"
NOBODY = "nobody"
"""Who a job was cancelled by when the last one who waited for it went away."""
NO_LIMIT = 1_000_000_000
PUBLISH_RETRIES = {"max_retries": 20, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
"""Sits out a restart of Redis of about ten seconds; after that the supervisor sends the message."""


@dataclass(frozen=True)
class Submitted:
    """The job that does a request; `joined` = it was on its way, or ready, before."""

    job_id: str
    joined: bool


class Dispatch:
    """Takes requests in, cancels jobs, orders clean-ups. Get one from `open_dispatch`."""

    def __init__(self, settings: TaskSettings, store: JobStore, celery: Celery, publisher: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._store = store
        self._celery = celery
        self._publisher = publisher

    async def submit(self, request: DownloadRequest, requester: str, *, limited: bool = True) -> Submitted:
        """Start a job for the request, or join the one that does the same. Once it returns, the job is on record.

        Chapters named twice count once. `limited`: the requester may have only so many jobs at a time.
        Raises `NoChapters`, `TooManyChapters`, `TooManyJobs`.
        """
        request = request.model_copy(update={"chapters": tuple({c.id: c for c in request.chapters}.values())})
        if not request.chapters:
            raise NoChapters
        if len(request.chapters) > self._settings.max_chapters_per_job:
            raise TooManyChapters(asked=len(request.chapters), limit=self._settings.max_chapters_per_job)
        limit = self._settings.max_active_jobs_per_user if limited else NO_LIMIT
        job_id, how, called = await self._store.create_or_join(request, requester, limit)
        with about(job=job_id, source=request.source):
            log.info("%s by %s, %s chapters", how, requester, len(request.chapters))
        await self.send(called)
        return Submitted(job_id, joined=how == "joined")

    async def send(self, called: str) -> None:
        """Send the message of that job, as a move of the store asked for; empty = none. Celery's id of it is the job's."""
        if called:
            await self._send(DOWNLOAD_TASK, called, called, DOWNLOADS)

    async def send_next(self) -> None:
        """See to it that the head of the line has its message."""
        await self.send(await self._store.call_next())

    async def send_again(self, job_id: str) -> bool:
        """Send an open job that no worker has once more; False if a worker has it after all, or it ended.

        A job whose worker had all of TASK_TIME_LIMIT ends here.
        """
        seconds = self._settings.task_time_limit
        too_long = Failure(code=TimeIsUp.code, detail={"seconds": seconds})
        attempt = await self._store.requeue(job_id, seconds, too_long)
        if attempt:
            with about(job=job_id):
                log.warning("sent again, attempt %s", attempt)
            await self.send(job_id)
        return bool(attempt)

    async def cancel(self, job_id: str, by: str) -> bool:
        """End the job for everyone; False if it had ended before. Its worker stops within about a second."""
        cancelled = await self._store.cancel(job_id, by)
        if cancelled:
            with about(job=job_id):
                log.info("cancelled")
            await self._clean_up(job_id)
        return cancelled

    async def let_go(self, job_id: str) -> None:
        """Nobody waits for the job any more: end it if it has not ended, and queue the removal of its files."""
        if not await self._store.collect(job_id):
            await self._store.cancel(job_id, NOBODY)
        await self._clean_up(job_id)

    async def _clean_up(self, job_id: str) -> None:
        await self._send(CLEAN_UP_TASK, job_id, f"{job_id}.clean-up", CLEANUP)

    async def _send(self, task: str, job_id: str, task_id: str, queue: str) -> None:
        def publish() -> None:
            self._celery.send_task(
                task, args=[job_id], task_id=task_id, queue=queue, retry=True, retry_policy=PUBLISH_RETRIES
            )

        try:
            await asyncio.get_running_loop().run_in_executor(self._publisher, publish)
        except (OperationalError, RedisError):
            # The record is there, and the supervisor or the sweep acts on it: the message was only a hint.
            with about(job=job_id):
                log.warning("the queue did not take %s", task)


@asynccontextmanager
async def open_dispatch(settings: TaskSettings, store: JobStore) -> AsyncIterator[Dispatch]:
    """The front door, with its own connection to the broker."""
    # Without a result backend: with one, a sender hangs for 19 s at a time while Redis is away.
    with Celery("dispatch", set_as_current=False) as celery:
        celery.backend_cls = "disabled://"  # not as a setting: Celery lets the environment's CELERY_RESULT_BACKEND win
        celery.conf.update(settings.broker.as_broker(), task_serializer="json", accept_content=["json"])
        # One thread, so one connection; sending waits for Redis, which must not hold up the event loop.
        with ThreadPoolExecutor(1, thread_name_prefix="publisher") as publisher:
            yield Dispatch(settings, store, celery, publisher)
