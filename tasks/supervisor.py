"""Finds open jobs that have neither a worker nor a message, and sends them again.

Celery on Redis loses the message a worker was just taking when it is killed, and returns those of a dead worker only
after the visibility timeout. The records lose nothing: what is open there and nowhere else is sent again.
"""

import asyncio
import logging

from redis.exceptions import RedisError

from tasks.dispatch import Dispatch
from tasks.jobs.store import JobStore

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
SWEEPS_ALONE = 3
"""A job is sent again once it was seen without worker and message so often in a row: on its way from the queue to a
worker's lease it is in neither place for a moment."""


class Supervisor:
    """Runs in every bot process; only the one that holds the lock acts."""

    def __init__(self, store: JobStore, dispatch: Dispatch) -> None:
        self._store = store
        self._dispatch = dispatch
        self._alone: dict[str, int] = {}

    async def run(self) -> None:
        """Supervise for ever."""
        while True:
            try:
                if await self._store.may_supervise(5 * SWEEP_SECONDS):
                    await self.sweep()
            except RedisError as error:
                log.warning("the supervisor can't reach Redis: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Look once at all open jobs."""
        alone = await self._store.jobs_alone()
        self._alone = {job_id: self._alone.get(job_id, 0) + 1 for job_id in alone}
        for job_id, times in self._alone.items():
            job = await self._store.read(job_id) if times >= SWEEPS_ALONE else None
            if job and await self._dispatch.send_again(job):
                self._alone[job_id] = 0
