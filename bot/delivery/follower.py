"""Follows jobs for those who wait for them: keeps each status message true, and calls the courier when files are ready.

Events only say where to look; what is shown is read from the records. So a follower that starts late, lost events or was
killed ends up showing the same.
"""

import asyncio
import logging
from collections import defaultdict

from redis.exceptions import RedisError

from bot.background import Background
from bot.delivery.watch import Watch, WatchTools
from tasks.jobs.store import JobStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LOOK_AROUND_SECONDS = 30.0


class Follower:
    """Runs one `Watch` for each watcher."""

    def __init__(self, tools: WatchTools, store: JobStore, background: Background) -> None:
        self._tools = tools
        self._store = store
        self._background = background
        self._changed: defaultdict[str, dict[str, asyncio.Event]] = defaultdict(dict)

    async def run(self) -> None:
        """Follow every watcher there is, and pass events on, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            group.create_task(self._look_around())

    async def _pass_on(self) -> None:
        while True:
            try:
                async for job_id in self._store.events(await self._store.newest_event()):
                    self.wake(job_id)
            except RedisError as error:
                log.warning("the follower can't reach Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_around(self) -> None:
        # Now and then, not only at the start: a watch that failed is taken up again.
        while True:
            try:
                for job_id in await self._tools.watchers.released():
                    await self._tools.let_go(job_id)
                for key in await self._tools.watchers.all_keys():
                    self.follow(key)
                await self._tools.boards.take_up_all()
            except RedisError as error:
                log.warning("the follower can't look around: %s", error)
            await asyncio.sleep(LOOK_AROUND_SECONDS)

    def follow(self, key: str) -> None:
        """Begin to follow this watcher, unless that is done already."""
        job_id = key.partition(":")[0]
        if key not in self._changed[job_id]:
            self._changed[job_id][key] = asyncio.Event()
            self._background.start(self._watch(job_id, key))

    def wake(self, job_id: str) -> None:
        """Something about the job changed: everyone who waits for it looks at its record."""
        for changed in self._changed.get(job_id, {}).values():
            changed.set()

    async def _watch(self, job_id: str, key: str) -> None:
        watch = Watch(self._tools, key, self._changed[job_id][key])
        try:
            while True:
                try:
                    followed_by = await watch.run()
                    break
                except RedisError as error:
                    log.warning("job %s: can't reach Redis: %s", job_id, error)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._changed[job_id][key]
            if not self._changed[job_id]:
                del self._changed[job_id]
        if followed_by:
            self.follow(followed_by)
