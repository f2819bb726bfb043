"""Whether a job that is sent now would be done, and what stands in its way."""

import asyncio
import logging
import time
from collections import Counter

from pydantic import Field
from redis.exceptions import RedisError

from tasks.dispatch import CLEANUP, DOWNLOADS
from tasks.errors import StorageDown
from tasks.jobs.presence import LiveWorker, Presence
from tasks.jobs.store import JobStore
from tasks.models import Value
from tasks.storage import Storage
from tasks.workspace import needed_bytes

log = logging.getLogger(__name__)

QUICK_SECONDS = 3.0
"""Who asks how we are does not wait for a Redis that is away."""
NO_REDIS = "Redis is not reached, or takes no writes."
STORAGE_SECONDS = 10.0
"""The bucket is asked no more often, as anybody may look how we are."""
NO_BUCKET = "The bucket of STORAGE_URL does not answer: no file passes from the workers to who waits for it."
NO_WORKER = "No worker serves the queue `downloads`."
NO_DISK = "No worker has room on its disk for an archive."
NO_CLEANUP = "No worker serves the queue `cleanup`: files that were delivered stay on disk."


class Vitals(Value):
    """How the service is. `healthy` = a job that is sent now would be done; `problems` are sentences, also about lesser things.

    `workers` counts live workers by queue, `queues` the jobs or clean-ups that wait in each; `disk_free` are bytes where most
    is free.
    """

    healthy: bool
    problems: tuple[str, ...] = ()
    redis: bool = False
    workers: dict[str, int] = Field(default_factory=dict)
    queues: dict[str, int] = Field(default_factory=dict)
    disk_free: int | None = None


class Doctor:
    """Looks how we are, with a connection of its own that does not sit out anything."""

    def __init__(self, store: JobStore, presence: Presence, storage: Storage) -> None:
        self._store = store
        self._presence = presence
        self._storage = storage
        self._bucket_answers = True
        self._asked_at = float("-inf")

    async def look(self) -> Vitals:
        """How we are now, after `QUICK_SECONDS` at the latest."""
        vitals, bucket_answers = await asyncio.gather(self._look(), self._has_storage())
        if bucket_answers:
            return vitals
        return vitals.model_copy(update={"healthy": False, "problems": (NO_BUCKET, *vitals.problems)})

    async def _has_storage(self) -> bool:
        if time.monotonic() - self._asked_at >= STORAGE_SECONDS:
            self._asked_at = time.monotonic()
            try:
                async with asyncio.timeout(QUICK_SECONDS):
                    await self._storage.look()
            except (StorageDown, TimeoutError) as error:
                log.warning("the bucket of STORAGE_URL: %s", str(error) or "it is silent")
                self._bucket_answers = False
            else:
                self._bucket_answers = True
        return self._bucket_answers

    async def _look(self) -> Vitals:
        try:
            async with asyncio.timeout(QUICK_SECONDS):
                await self._store.check()
                waiting = await self._store.waiting()
                workers = await self._presence.workers()
                room = needed_bytes(1, await self._store.usual_chapter_bytes())
        except (RedisError, OSError, TimeoutError):
            return Vitals(healthy=False, problems=(NO_REDIS,))
        return _judged(workers, waiting, room)


def _judged(workers: list[LiveWorker], waiting: dict[str, int], room: int) -> Vitals:
    serving = Counter(queue for worker in workers for queue in worker.queues)
    free = [worker.free for worker in workers if DOWNLOADS in worker.queues]
    fatal = [
        *([] if free else [NO_WORKER]),
        *([NO_DISK] if free and max(free) < room else []),
    ]
    return Vitals(
        healthy=not fatal,
        problems=(*fatal, *(() if serving[CLEANUP] else (NO_CLEANUP,))),
        redis=True,
        workers={queue: serving[queue] for queue in (DOWNLOADS, CLEANUP)},
        queues=waiting,
        disk_free=max(free, default=None),
    )
