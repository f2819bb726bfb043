"""Where queued jobs stand: read once for all who ask within a moment, as their number may be large."""

import time
from collections.abc import Mapping

from tasks.jobs.store import JobStore, Place

GOOD_SECONDS = 1.0


class Line:
    """The line as it was a moment ago."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._places: Mapping[str, Place] = {}
        self._read_at = float("-inf")

    async def place(self, job_id: str) -> Place | None:
        """Where the job stands; None if it is not queued. Raises redis errors."""
        if job_id not in self._places or time.monotonic() - self._read_at > GOOD_SECONDS:
            self._places = await self._store.line()
            self._read_at = time.monotonic()
        return self._places.get(job_id)
