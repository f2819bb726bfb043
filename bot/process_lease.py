"""The right of this process to look after chats, one of several that share a Redis.

Others take a process for dead whose heartbeat they saw stand still for `DEAD_SECONDS`. So it trusts its own lease for a
shorter while after it was renewed, by its own clock, and says nothing in its chats beyond that before it knows better.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from typing import Any

from redis.exceptions import RedisError

from bot import pulse
from bot.background import Background
from bot.memory.processes import Processes, TakenForDead, acting_as

log = logging.getLogger(__name__)

RENEW_SECONDS = 0.5
SURE_SECONDS = 3.5
"""So long a lease is good without asking, counted from when its renewal was begun."""
DEAD_SECONDS = 4.5
"""A heartbeat that was seen to stand still for so long is a dead process's."""
GAP_SECONDS = 2.0
"""After so long without an answer of Redis nothing is known of the others: they could not renew either."""


class ProcessLease:
    """Knows which chats are this process's while it is `held`."""

    def __init__(self, processes: Processes) -> None:
        self.id = ""
        """Whose chats they are: another one after this process was taken for dead."""
        self._processes = processes
        self._work = Background()
        self._chats: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_use: set[int] = set()
        self._changing = asyncio.Lock()
        self._sure_until = float("-inf")
        self._answered = asyncio.Event()
        self._seen: dict[str, tuple[str, float]] = {}
        self._seen_at = float("-inf")
        self._bells: list[asyncio.Event] = []

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Background]:
        """This process is one of those there are, while the block lasts.

        What it started ends before others may begin, and so does what was started in the background that the block gets.
        """
        await self._enter()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            try:
                async with self._work as background:
                    yield background
            finally:
                keeping.cancel()
                await self._leave()

    def bell(self) -> asyncio.Event:
        """Set whenever a process has gone, or this one has to begin anew: chats and updates may be left."""
        bell = asyncio.Event()
        self._bells.append(bell)
        return bell

    def ring(self) -> None:
        """Chats and updates may be left: all look for them."""
        for bell in self._bells:
            bell.set()

    def has(self, chat_id: int) -> bool:
        """Whether the chat is this process's, as far as it knows."""
        return chat_id in self._chats

    async def take(self, chats: Iterable[int]) -> set[int]:
        """Which of the chats are this process's now. Raises redis errors."""
        async with self._changing:
            process = self.id
            taken = await self._processes.take(process, chats)
            if process != self.id:
                return set()
            self._chats |= taken
            return taken

    async def release(self, idle: Callable[[int], bool]) -> None:
        """Others may have the chats that are idle. Raises redis errors."""
        async with self._changing:
            chats = {chat for chat in self._chats - self._in_use if idle(chat)}
            self._chats -= chats
            if chats:
                await self._processes.release(self.id, chats)

    def start_for(self, chat_id: int, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start it, and release the chat not before it has ended; for one piece of work at a time in a chat."""
        self._in_use.add(chat_id)
        task = self.start(work)
        task.add_done_callback(lambda _: self._in_use.discard(chat_id))
        return task

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Look after a chat that is this process's: the work ends at the latest with the lease."""
        context = copy_context()
        context.run(acting_as.set, self.id)
        task = self._work.start(work, context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def confirm(self, process: str) -> None:
        """Return once it is certain that the lease of that id is still good. Raises `TakenForDead` if it is not."""
        while process == self.id:
            if time.monotonic() < self._sure_until:
                return
            await self._answered.wait()
        raise TakenForDead

    async def _enter(self) -> None:
        # Another one before Redis is asked: what comes in meanwhile of what was asked for before is not for this life.
        self.id, now = pulse.new_id(), time.monotonic()
        await self._processes.enter(self.id)
        self._sure_until = now + SURE_SECONDS
        await self._renew()

    async def _leave(self) -> None:
        with suppress(RedisError, TimeoutError):
            async with asyncio.timeout(GAP_SECONDS):
                await self._processes.leave(self.id)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                # A connection that hangs is given up, so that another one can be tried.
                async with asyncio.timeout(DEAD_SECONDS):
                    await self._renew()
            except (RedisError, TimeoutError) as error:
                log.warning("the lease of this process can't be renewed: %s", str(error) or "Redis is silent")

    async def _renew(self) -> None:
        begun = time.monotonic()
        heartbeats = dict(await self._processes.renew(self.id))
        if heartbeats.pop(self.id, None) is None:
            await self._begin_anew()
            return
        self._sure_until = begun + SURE_SECONDS
        self._answered.set()
        self._answered.clear()
        left = self._seen.keys() - heartbeats.keys()
        buried = [await self._bury(process, beat) for process, beat in self._dead(heartbeats)]
        if left or any(buried):
            self.ring()

    def _dead(self, heartbeats: dict[str, str]) -> list[tuple[str, str]]:
        """Those of the other processes that do not live any more, with their last heartbeats."""
        now = time.monotonic()
        before = self._seen if now - self._seen_at < GAP_SECONDS else {}
        self._seen_at = now
        self._seen = {
            process: before[process] if before.get(process, ("", 0.0))[0] == beat else (beat, now)
            for process, beat in heartbeats.items()
        }
        return [
            (process, beat)
            for process, (beat, since) in self._seen.items()
            if now - since >= DEAD_SECONDS or pulse.is_dead(process)
        ]

    async def _bury(self, process: str, heartbeat: str) -> bool:
        self._seen.pop(process, None)
        buried = await self._processes.take_off(process, heartbeat)
        if buried:
            log.warning("process %s of the bot is dead: its chats are taken over", process)
        return buried

    async def _begin_anew(self) -> None:
        log.warning("this process was taken for dead: it begins anew")
        self._sure_until = float("-inf")
        self._chats.clear()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await self._enter()
        self._answered.set()
        self._answered.clear()
        self.ring()
