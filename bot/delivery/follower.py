"""Follows jobs for those who wait for them: keeps each status message true, and calls the courier when files are ready.

Events only say where to look; what is shown is read from the records. So a follower that starts late, lost events or was
killed ends up showing the same.
"""

import asyncio
import logging
from collections import Counter, defaultdict

from redis.exceptions import RedisError

from bot.background import Background
from bot.delivery.watch import Watch, WatchTools
from tasks.jobs.store import JobStore
from tasks.logs import begin

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LOOK_AROUND_SECONDS = 30.0
START_SECONDS = 0.005
"""Between two watchers that a bot finds at its start: all at once they would hold up everything else."""


class Follower:
    """Runs one `Watch` for each watcher."""

    def __init__(self, tools: WatchTools, store: JobStore, background: Background) -> None:
        self._tools = tools
        self._store = store
        self._background = background
        self._watches: defaultdict[str, dict[str, Watch]] = defaultdict(dict)
        self._in_chat: Counter[int] = Counter()
        self._listens = asyncio.Event()

    async def run(self) -> None:
        """Follow every watcher there is, and pass events on, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            group.create_task(self._look_around())

    async def _pass_on(self) -> None:
        while True:
            try:
                newest = await self._store.newest_event()
                self._listens.set()
                # What happened while nobody listened is in the records.
                for job_id in list(self._watches):
                    self.wake(job_id)
                async for event in self._store.events(newest):
                    self.wake(event.job_id, event.state)
            except RedisError as error:
                log.warning("the follower can't reach Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_around(self) -> None:
        await self._listens.wait()
        # Now and then, not only at the start: a watch that failed is taken up again.
        while True:
            try:
                for job_id in await self._tools.watchers.released():
                    await self._tools.let_go(job_id)
                for key in await self._tools.watchers.all_keys():
                    if self._begin(key):
                        await asyncio.sleep(START_SECONDS)
                await self._tools.boards.take_up_all()
            except RedisError as error:
                log.warning("the follower can't look around: %s", error)
            await asyncio.sleep(LOOK_AROUND_SECONDS)

    def follow(self, key: str) -> None:
        """Begin to follow this watcher, unless that is done already."""
        self._begin(key)

    def _begin(self, key: str) -> bool:
        job_id, _, chat_id = key.partition(":")
        if key in self._watches[job_id]:
            return False
        watch = self._watches[job_id][key] = Watch(self._tools, key, self._in_chat)
        self._background.start(self._watch(job_id, int(chat_id), key, watch))
        return True

    def wake(self, job_id: str, state: str = "") -> None:
        """Something about the job changed, which is in that state now: everyone who waits for it is told."""
        for watch in self._watches.get(job_id, {}).values():
            watch.hear(state)

    async def _watch(self, job_id: str, chat_id: int, key: str, watch: Watch) -> None:
        begin(job=job_id, chat=chat_id)
        self._in_chat[chat_id] += 1
        try:
            while True:
                try:
                    followed_by = await watch.run()
                    break
                except RedisError as error:
                    log.warning("can't reach Redis: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._in_chat -= Counter([chat_id])  # and forgets a chat that nobody waits in
            del self._watches[job_id][key]
            if not self._watches[job_id]:
                del self._watches[job_id]
        if followed_by:
            self.follow(followed_by)
