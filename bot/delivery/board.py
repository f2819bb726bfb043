"""One message for all downloads of a chat, where a message for each would spend what may be said there.

Telegram lets a bot say and edit about twenty things a minute in a group, all together.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest
from redis.exceptions import RedisError

from bot.delivery import status_message
from bot.delivery.trouble import Trouble, trouble
from bot.editing import Screen, Spot, digest, edit
from bot.language import speaking
from bot.memory.boards import Board, BoardMemory, Place
from bot.memory.processes import TakenForDead
from bot.memory.watchers import Watcher, Watchers
from bot.pacing import Pacing
from bot.process_lease import ProcessLease
from tasks.jobs.job import Job
from tasks.jobs.store import JobStore
from tasks.logs import begin

log = logging.getLogger(__name__)

FROM = 3
"""So many open downloads of a chat or topic share one message."""
MOST_LISTED = 10
LOOK_SECONDS = 3.0


@dataclass(frozen=True)
class Boards:
    """Begins boards where they are needed, keeps them true, and removes them when nothing runs any more."""

    _bot: Bot
    _memory: BoardMemory
    _store: JobStore
    _watchers: Watchers
    _pacing: Pacing
    _lease: ProcessLease
    _kept: dict[Place, asyncio.Task[None]] = field(default_factory=dict)

    async def covers(self, watcher: Watcher) -> bool:
        """Whether the watcher's progress is told by a board, which is begun if one is needed."""
        place = (watcher.chat_id, watcher.thread_id)
        if watcher.chat_id > 0:
            return False
        if not await self._memory.has(place):
            if len(await self._running(place)) < FROM:
                return False
            await self._memory.begin(place, watcher.language)
        self.take_up(place)
        return True

    async def places(self) -> Mapping[int, list[Place]]:
        """Every board there is, by chats: where the last bot left one nobody may wait any more."""
        boards: defaultdict[int, list[Place]] = defaultdict(list)
        for place in await self._memory.all():
            boards[place[0]].append(place)
        return boards

    def take_up(self, place: Place) -> None:
        """Keep that board, whose chat is this process's."""
        if place not in self._kept or self._kept[place].cancelling():
            self._kept[place] = self._lease.start(self._keep(place))

    async def _running(self, place: Place) -> list[tuple[Job, Watcher]]:
        waiting = [
            one for one in await self._watchers.in_chat(place[0]) if one.thread_id == place[1] and not one.is_quiet
        ]
        jobs = [(await self._store.read_if_possible(one.job_id), one) for one in waiting if not one.cancelled_by]
        running = [(job, one) for job, one in jobs if job and job.state.is_open]
        return sorted(running, key=lambda pair: pair[0].created_at)

    async def _keep(self, place: Place) -> None:
        begin(chat=place[0])
        try:
            while board := await self._memory.get(place):
                try:
                    await self._bring_up_to_date(place, board)
                except RedisError as error:
                    log.warning("the board can't reach Redis: %s", error)
                except TelegramAPIError as error:
                    await self._meet(place, board, error)
                await asyncio.sleep(LOOK_SECONDS)
        except TakenForDead:
            log.info("the board of chat %s: another process goes on with it", place[0])
        finally:
            if self._kept.get(place) is asyncio.current_task():
                del self._kept[place]

    async def _bring_up_to_date(self, place: Place, board: Board) -> None:
        running = await self._running(place)
        if not running:
            # In this order: a bot that is killed in between finds the board again, and its message gone.
            if board.message_id:
                with suppress(TelegramBadRequest):
                    await self._bot.delete_message(place[0], board.message_id)
            await self._memory.forget(place)
            return
        with speaking(board.language):
            screen = status_message.board(running[:MOST_LISTED], len(running[MOST_LISTED:]))
        if digest(screen) != board.shown:
            await self._show(place, board, screen)

    async def _show(self, place: Place, board: Board, screen: Screen) -> None:
        if board.message_id is None:
            message = await self._bot.send_message(
                place[0],
                screen.text,
                message_thread_id=place[1],
                reply_markup=screen.keyboard,
                link_preview_options=screen.preview,
                disable_notification=True,
            )
            await self._memory.note(place, message.message_id, digest(screen))
        elif await self._pacing.try_progress(place[0]):
            await edit(self._bot, Spot(place[0], board.message_id), screen)
            await self._memory.note(place, board.message_id, digest(screen))

    async def _meet(self, place: Place, board: Board, error: TelegramAPIError) -> None:
        log.warning("the board: %s", error)
        match trouble(error):
            case Trouble.LATER:
                return
            case Trouble.MESSAGE_LOST if board.message_id:
                await self._memory.lose_message(place)
            case _:
                # Each watcher meets the same trouble by itself, and knows what to do.
                await self._memory.forget(place)
