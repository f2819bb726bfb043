"""Where queued jobs stand: read once for all who ask within a moment, as their number may be large."""

import asyncio
import time
from collections.abc import Mapping

from tasks.jobs.store import JobStore, Place

GOOD_SECONDS = 1.0
GOOD_FOR_THE_NEW = 0.2
"""For a job that is not in it: it may have come after it was read."""


class Line:
    """The line as it was a moment ago."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._places: Mapping[str, Place] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def place(self, job_id: str) -> Place | None:
        """Where the job stands; None if it is not queued. Raises redis errors."""
        async with self._reading:
            good = GOOD_SECONDS if job_id in self._places else GOOD_FOR_THE_NEW
            if time.monotonic() - self._read_at > good:
                self._places = await self._store.line()
                self._read_at = time.monotonic()
        return self._places.get(job_id)
