"""Chats that follow titles and can't be reached any more, or somewhere else."""

import logging

from bot.memory.follows import Follows
from bot.memory.parcels import Parcels
from bot.memory.quiet_hours import QuietHours

log = logging.getLogger(__name__)


class Addresses:
    """Keeps what is followed true to where chats are."""

    def __init__(self, follows: Follows, parcels: Parcels, quiet_hours: QuietHours) -> None:
        self._follows = follows
        self._parcels = parcels
        self._quiet_hours = quiet_hours

    async def gone(self, chat_id: int) -> None:
        """Nobody is there to be told: the chat follows nothing any more."""
        log.info("chat %s is gone, and follows nothing any more", chat_id)
        # In this order: a bot that is killed in between finds the parcels, and Telegram says it again.
        await self._follows.forget(chat_id)
        await self._parcels.forget(chat_id)

    async def moved(self, old_chat: int, new_chat: int) -> None:
        """The group became another chat, which follows in its place."""
        if quiet := await self._quiet_hours.of(old_chat):
            await self._quiet_hours.choose(new_chat, quiet)
            await self._quiet_hours.choose(old_chat, None)
        await self._follows.move(old_chat, new_chat)
        await self._parcels.move(old_chat, new_chat)
