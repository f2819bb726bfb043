"""Finds open jobs that have neither a worker nor a message, and sends them again.

Celery on Redis loses the message a worker was just taking when it is killed, and returns those of a dead worker only
after the visibility timeout. The records lose nothing: what is open there and nowhere else is sent again.
"""

import asyncio
import logging
import time

from redis.exceptions import RedisError

from tasks.dispatch import Dispatch
from tasks.jobs.store import JobStore

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
SWEEPS_IN_VAIN = 3
"""The head of the line is sent again once it was seen without its message so often in a row: on its way from the queue to
a worker's lease it is in neither place for a moment."""
SERVER_SETTLES = 5
"""Seconds after a start of the server, or an answer of it that took longer than SERVER_AWAY, in which nothing is taken for
lost: leases ran on while nobody could renew them. A replica that became the master was started long ago."""
SERVER_AWAY = 2.0


class Supervisor:
    """Runs in every bot process, and once a minute in the clean-up worker; only the one that holds the lock acts."""

    def __init__(self, store: JobStore, dispatch: Dispatch, sweeps_in_vain: int = SWEEPS_IN_VAIN) -> None:
        self._store = store
        self._dispatch = dispatch
        self._sweeps_in_vain = sweeps_in_vain
        self._in_vain: str | None = None
        self._times = 0
        self._settled_at = 0.0

    async def run(self) -> None:
        """Supervise for ever."""
        while True:
            try:
                await self.sweep_if_due()
            except RedisError as error:
                log.warning("the supervisor can't reach Redis: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep_if_due(self) -> None:
        """Sweep, unless another process does, or the server was not there a moment ago."""
        asked = time.monotonic()
        due = await self._store.may_supervise(5 * SWEEP_SECONDS) and await self._store.server_age() >= SERVER_SETTLES
        answered = time.monotonic()
        if answered - asked > SERVER_AWAY:
            self._settled_at = answered + SERVER_SETTLES
        if due and answered >= self._settled_at:
            await self.sweep()

    async def sweep(self) -> None:
        """Look once at all open jobs."""
        for job_id in await self._store.lost():
            await self._dispatch.send_again(job_id)
        await self._dispatch.send_next()
        in_vain = await self._store.called_in_vain()
        self._times = self._times + 1 if in_vain == self._in_vain else 1
        self._in_vain = in_vain
        if in_vain and self._times >= self._sweeps_in_vain:
            self._times = 0
            await self._dispatch.send_again(in_vain)
