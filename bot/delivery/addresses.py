"""Chats that follow titles and can't be reached any more, or somewhere else."""

import logging

from bot.memory.follows import Follows
from bot.memory.parcels import Parcels

log = logging.getLogger(__name__)


class Addresses:
    """Keeps what is followed true to where chats are."""

    def __init__(self, follows: Follows, parcels: Parcels) -> None:
        self._follows = follows
        self._parcels = parcels

    async def gone(self, chat_id: int) -> None:
        """Nobody is there to be told: the chat follows nothing any more."""
        log.info("chat %s is gone, and follows nothing any more", chat_id)
        # In this order: a bot that is killed in between finds the parcels, and Telegram says it again.
        await self._follows.forget(chat_id)
        await self._parcels.forget(chat_id)

    async def moved(self, old_chat: int, new_chat: int) -> None:
        """The group became another chat, which follows in its place."""
        await self._follows.move(old_chat, new_chat)
        await self._parcels.move(old_chat, new_chat)
