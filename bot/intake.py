"""Where updates are handled that Telegram does not hold out any more: those a process left, and those a webhook brought."""

import asyncio
import logging
from contextlib import suppress

from aiogram import Bot, Dispatcher
from aiogram.types import Update
from redis.exceptions import RedisError

from bot.memory.updates import Updates
from bot.middlewares import OnlyOnce
from bot.process_lease import ProcessLease

log = logging.getLogger(__name__)

LEFT_SECONDS = 60.0
"""How often updates are looked for that came in and were left, because Redis was away for too long."""


class Intake:
    """Hands updates that are written down to the dispatcher."""

    def __init__(
        self, dispatcher: Dispatcher, bot: Bot, updates: Updates, only_once: OnlyOnce, lease: ProcessLease
    ) -> None:
        self._dispatcher = dispatcher
        self._bot = bot
        self._updates = updates
        self._only_once = only_once
        self._lease = lease
        self._bell = lease.bell()
        self.handling: set[asyncio.Task[None]] = set()
        """What a webhook brought and is not handled yet."""

    async def take(self, update: Update) -> None:
        """Return when the update is safe; it is handled beside, once, however often it comes. Raises redis errors."""
        if update.update_id in await self._updates.receive(self._lease.id, [update]):
            task = asyncio.create_task(self._handle(update))
            self.handling.add(task)
            task.add_done_callback(self.handling.discard)

    async def handle_left(self) -> None:
        """Handle what came in and was left by a process that died, or by this one. Raises redis errors."""
        left = await self._updates.begin_anew(self._lease.id, self._only_once.handling)
        if left:
            log.info("%s updates were left in hand", len(left))
        await asyncio.gather(*map(self._handle, left))

    async def keep_handling_left(self) -> None:
        """Look for them when a process has gone, and now and then, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEFT_SECONDS):
                    await self._bell.wait()
            self._bell.clear()
            with suppress(RedisError):
                await self.handle_left()

    async def _handle(self, update: Update) -> None:
        ends = await asyncio.gather(self._dispatcher.feed_update(self._bot, update), return_exceptions=True)
        if isinstance(ends[0], Exception):
            log.error("update %s failed", update.update_id, exc_info=ends[0])
