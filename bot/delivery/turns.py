"""Who of those that want the same file in their chats uploads it: the first one, and the others wait for Telegram's copy.

An uploader that dies, meets trouble or does not get on makes way for the next one. Who waits asks Redis only if nobody else
of this process does for the same file.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from bot.delivery.outgoing import OutgoingFile
from bot.memory.shared import SentFile, Shared
from bot.memory.uploads import Uploads
from tasks.jobs.job import Job

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
RENEW_SECONDS = 1.5
STALLED_SECONDS = 15.0
"""An upload that moves no byte for so long is not waited for any more, unless only Telegram's answer is missing."""


@dataclass
class Turn:
    """Telegram's `copy` of the file, or None: then the file is this one's to upload, and `outgoing` tells how that gets on."""

    copy: SentFile | None = None
    outgoing: OutgoingFile | None = None


class Turns:
    """Lets uploads go ahead one by one for each file."""

    def __init__(self, shared: Shared, uploads: Uploads) -> None:
        self._shared = shared
        self._uploads = uploads
        self._gates: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, job: Job, number: int) -> AsyncIterator[Turn]:
        """Wait until Telegram has the job's file of that number, or it may be uploaded while the block lasts."""
        file, word = f"{job.id}:{number}", secrets.token_hex(8)
        turn = Turn(await self._wait(job, number, file, word))
        if turn.copy:
            yield turn
            return
        keeping = asyncio.create_task(self._keep(file, word, turn))
        try:
            yield turn
        finally:
            keeping.cancel()
            with suppress(RedisError):  # it goes by itself
                await self._uploads.leave(file, word)

    async def _wait(self, job: Job, number: int, file: str, word: str) -> SentFile | None:
        gate = self._gates.setdefault(file, asyncio.Lock())
        async with gate:
            while (copy := await self._shared.copy_of(job, number)) is None:
                if await self._uploads.take(file, word):
                    return None
                await asyncio.sleep(LOOK_SECONDS)
            return copy

    async def _keep(self, file: str, word: str, turn: Turn) -> None:
        state, since = self._state(turn), time.monotonic()
        while time.monotonic() - since < STALLED_SECONDS or (turn.outgoing and turn.outgoing.handed_over):
            await asyncio.sleep(RENEW_SECONDS)
            if state != self._state(turn):
                state, since = self._state(turn), time.monotonic()
            try:
                if not await self._uploads.renew(file, word):
                    return
            except RedisError as error:
                log.warning("an upload can't be kept: %s", error)
        log.warning("the upload of %s does not get on: others go ahead", file)

    @staticmethod
    def _state(turn: Turn) -> tuple[bool, int]:
        """What changes while an upload gets on."""
        return (False, 0) if turn.outgoing is None else (turn.outgoing.handed_over, turn.outgoing.sent)
