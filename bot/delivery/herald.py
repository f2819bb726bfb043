"""Brings what is new of followed titles to the chats that follow them.

Any process makes a parcel of what a chat was not told yet, in one step with moving it on; only the process that has the chat
brings it. A file comes from Telegram's copy, or a watcher takes the parcel's place and waits for the job like any other. So
whatever is killed, each chapter reaches each chat, and once: only where a bot is killed between a message and Telegram's
answer the next one tells that it may have come already.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

from aiogram.exceptions import TelegramAPIError
from redis.exceptions import RedisError

from bot.delivery.bringing import Bringing, Later, Paused
from bot.delivery.packing import Packing
from bot.memory.parcels import Parcels, chat_of, order
from bot.memory.processes import TakenForDead
from bot.pacing import Pacing
from bot.process_lease import ProcessLease
from tasks.logs import begin

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LATER_SECONDS = 15.0
"""Before a chat is tried again that was in trouble, or does not want to be told now."""
CHATS_AT_ONCE = 30
"""That are brought something at a time by this process."""


@dataclass
class Herald:
    """Makes parcels and has them brought."""

    _packing: Packing
    _bringing: Bringing
    _parcels: Parcels
    _lease: ProcessLease
    _pacing: Pacing
    _busy: set[int] = field(default_factory=set)
    _later: dict[int, float] = field(default_factory=dict)
    """When chats are tried again, by this process's clock."""

    async def run(self) -> None:
        """Bring news as they come, for ever."""
        while True:
            try:
                await self._packing.pack_all(time.time())
                await self._bring_all()
            except RedisError as error:
                log.warning("the herald can't reach Redis: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _bring_all(self) -> None:
        """Begin with as many chats as there is room for."""
        if len(self._busy) >= CHATS_AT_ONCE:
            return
        waiting: defaultdict[int, list[str]] = defaultdict(list)
        for parcel_id in await self._parcels.ids():
            waiting[chat_of(parcel_id)].append(parcel_id)
        now = time.monotonic()
        self._later = {chat: at for chat, at in self._later.items() if at > now and chat in waiting}
        chats = [chat for chat in waiting if chat not in self._busy and chat not in self._later]
        random.shuffle(chats)  # those that other processes have must not be in the way of the rest
        for chat in await self._lease.take(chats[: CHATS_AT_ONCE - len(self._busy)]):
            self._busy.add(chat)
            task = self._lease.start_for(chat, self._bring(chat, sorted(waiting[chat], key=order)))
            task.add_done_callback(partial(self._brought, chat))

    def _brought(self, chat: int, _: asyncio.Task[None]) -> None:
        self._busy.discard(chat)

    async def _bring(self, chat: int, parcel_ids: list[str]) -> None:
        begin(chat=chat)
        try:
            for parcel_id in parcel_ids:
                await self._bring_one(chat, parcel_id)
        except Later:
            self._try_later(chat, LATER_SECONDS)
        except (RedisError, TelegramAPIError) as error:
            log.warning("news can't be brought now: %s", error)
            self._try_later(chat, LATER_SECONDS)
        except TakenForDead:
            log.info("another process goes on with the news of chat %s", chat)

    async def _bring_one(self, chat: int, parcel_id: str) -> None:
        if closed := await self._pacing.closed_for(chat):
            self._try_later(chat, closed)
            return
        try:
            await self._bringing.bring(parcel_id)
        except Paused:
            self._try_later(chat, LATER_SECONDS)

    def _try_later(self, chat: int, seconds: float) -> None:
        self._later[chat] = time.monotonic() + seconds
