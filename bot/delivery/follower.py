"""Follows jobs for those who wait for them: keeps each status message true, and calls the courier when files are ready.

Events only say where to look; what is shown is read from the records. So a follower that starts late, lost events or was
killed ends up showing the same. Of several processes only the one that has a chat follows for it.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import suppress

from redis.exceptions import RedisError

from bot.background import Background
from bot.delivery.watch import Watch, WatchTools
from bot.memory.parcels import Parcels
from bot.memory.processes import TakenForDead
from bot.process_lease import ProcessLease
from tasks.jobs.store import JobStore
from tasks.logs import begin

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LOOK_AROUND_SECONDS = 30.0
START_SECONDS = 0.005
"""Between two watchers that a bot finds at its start: all at once they would hold up everything else."""
CHATS_AT_ONCE = 10
"""So many chats are taken before their watchers are begun: others who look around just now get their share."""


class Follower:
    """Runs one `Watch` for each watcher in the chats of this process."""

    def __init__(
        self, tools: WatchTools, store: JobStore, parcels: Parcels, lease: ProcessLease, background: Background
    ) -> None:
        self._tools = tools
        self._parcels = parcels
        self._store = store
        self._lease = lease
        self._background = background
        self._watches: defaultdict[str, dict[str, Watch]] = defaultdict(dict)
        self._in_chat: Counter[int] = Counter()
        self._process = lease.id
        self._bell = lease.bell()
        self._listens = asyncio.Event()

    async def run(self) -> None:
        """Follow every watcher that no other process follows, and pass events on, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            group.create_task(self._look_around())

    async def _pass_on(self) -> None:
        while True:
            try:
                newest = await self._store.newest_event()
                self._listens.set()
                # What happened while nobody listened is in the records.
                self._bell.set()
                for job_id in list(self._watches):
                    self._wake(job_id)
                async for event in self._store.events(newest):
                    if event.watcher:
                        self._hear_of(event.watcher)
                    else:
                        self._wake(event.job_id, event.state)
            except RedisError as error:
                log.warning("the follower can't reach Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_around(self) -> None:
        await self._listens.wait()
        # Now and then, not only at the start or when a process has gone: a watch that failed is taken up again.
        while True:
            self._bell.clear()
            try:
                for job_id in await self._tools.watchers.released():
                    await self._tools.let_go(job_id)
                await self._take_up_all()
            except RedisError as error:
                log.warning("the follower can't look around: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AROUND_SECONDS):
                    await self._bell.wait()

    async def _take_up_all(self) -> None:
        boards = await self._tools.boards.places()
        watchers: defaultdict[int, list[str]] = defaultdict(list)
        for key in await self._tools.watchers.all_keys():
            watchers[_chat(key)].append(key)
        chats = watchers.keys() | boards.keys()
        kept = chats | await self._parcels.chats()
        await self._lease.release(lambda chat: chat not in kept and chat not in self._in_chat)
        async for chat in self._taken(chats):
            for key in watchers.get(chat, ()):
                if self._begin(key):
                    await asyncio.sleep(START_SECONDS)
            for place in boards.get(chat, ()):
                if self._lease.has(chat):
                    self._tools.boards.take_up(place)

    async def _taken(self, chats: set[int]) -> AsyncGenerator[int]:
        """Those of the chats that are this process's, or become it."""
        for chat in [chat for chat in chats if self._lease.has(chat)]:
            yield chat
        others = [chat for chat in chats if not self._lease.has(chat)]
        for start in range(0, len(others), CHATS_AT_ONCE):
            for chat in await self._lease.take(others[start : start + CHATS_AT_ONCE]):
                yield chat

    def _hear_of(self, key: str) -> None:
        watch = self._watches.get(key.partition(":")[0], {}).get(key)
        if watch:
            watch.hear()
        elif not self._begin(key):
            self._background.start(self._take(key))

    async def _take(self, key: str) -> None:
        with suppress(RedisError):  # then it is found when the follower looks around
            if await self._lease.take([_chat(key)]):
                self._begin(key)

    def _begin(self, key: str) -> bool:
        if not self._lease.has(_chat(key)):
            return False  # it was ours a moment ago
        if self._process != self._lease.id:
            # The watches of before have ended, or are about to.
            self._watches.clear()
            self._in_chat.clear()
            self._process = self._lease.id
        job_id = key.partition(":")[0]
        if key in self._watches[job_id]:
            return False
        watch = self._watches[job_id][key] = Watch(self._tools, key, self._in_chat)
        self._in_chat[_chat(key)] += 1
        self._lease.start(self._watch(key, watch)).add_done_callback(lambda _: self._ended(key, watch))
        return True

    def _ended(self, key: str, watch: Watch) -> None:
        job_id = key.partition(":")[0]
        if self._watches.get(job_id, {}).get(key) is not watch:
            return
        self._in_chat -= Counter([_chat(key)])  # and forgets a chat that nobody waits in
        del self._watches[job_id][key]
        if not self._watches[job_id]:
            del self._watches[job_id]

    def _wake(self, job_id: str, state: str = "") -> None:
        """Something about the job changed, which is in that state now: everyone who waits for it is told."""
        for watch in self._watches.get(job_id, {}).values():
            watch.hear(state)

    async def _watch(self, key: str, watch: Watch) -> None:
        begin(job=key.partition(":")[0], chat=_chat(key))
        while True:
            try:
                await watch.run()
            except RedisError as error:
                log.warning("can't reach Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except TakenForDead:
                log.info("another process goes on with it")
                return
            else:
                return


def _chat(key: str) -> int:
    return int(key.partition(":")[2])
