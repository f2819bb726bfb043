"""One watcher's way from the accepted request to the file in the chat."""

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest, TelegramMigrateToChat
from aiogram.types import ReactionTypeEmoji
from redis.exceptions import RedisError

from bot.delivery import news, status_message
from bot.delivery.addresses import Addresses
from bot.delivery.board import Boards
from bot.delivery.courier import Courier, DeliveryError
from bot.delivery.line import Line
from bot.delivery.status_message import Upload
from bot.delivery.trouble import Trouble, trouble
from bot.editing import Screen, Spot, digest, edit
from bot.language import speaking
from bot.memory.history import History
from bot.memory.watchers import Watcher, Watchers
from bot.pacing import Pacing
from bot.requests import FOLLOWING
from bot.texts import sentence
from tasks.dispatch import Dispatch
from tasks.errors import OtherVersion, RequestError
from tasks.jobs.job import Job, JobState
from tasks.jobs.store import JobStore
from tasks.logs import begin

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""The record is looked at so often even when no event came."""
IN_LINE_SECONDS = 3.0
"""How often it is looked where a queued job stands: no event tells that others moved."""
QUIET_LOOK_SECONDS = 60.0
"""The same, where nothing is shown on the way."""
TROUBLE_SECONDS = 15.0
"""Between two tries while Telegram is not well."""
NODDED = "nodded"
"""What `shown` is of a watcher whose request has a reaction and no status message."""
GETTING_ON = {JobState.DOWNLOADING, JobState.PACKING}
TURN_SECONDS = 3.0
"""Who was told of leaves so long a turn to each other one in the chat."""
ANSWER_SECONDS = 5.0
"""A bot that is told to stop waits so long for the answer to an upload; Telegram takes a while over large ones."""


@dataclass(frozen=True)
class WatchTools:
    """What every watch works with."""

    bot: Bot
    store: JobStore
    watchers: Watchers
    dispatch: Dispatch
    pacing: Pacing
    courier: Courier
    history: History
    boards: Boards
    line: Line
    addresses: Addresses
    has_others: bool
    """Whether there is more than one source."""

    async def let_go(self, job_id: str) -> None:
        """Nobody waits for the job any more. A bot that is killed over it finds it among the released ones."""
        await self.dispatch.let_go(job_id)
        await self.watchers.forget(job_id)


class Watch:
    """Follows one job for one chat."""

    def __init__(self, tools: WatchTools, key: str, neighbours: Counter[int]) -> None:
        """`neighbours` counts the watches of each chat: they take turns in what it may be told."""
        self._tools = tools
        self._key = key
        self._chat_id = int(key.partition(":")[2])
        self._neighbours = neighbours
        self._changed = asyncio.Event()
        self._seen: JobState | None = None
        self._readable = True
        self._is_quiet = False
        self._quiet_until = 0.0
        self._clock: asyncio.TimerHandle | None = None

    def hear(self, state: str = "") -> None:
        """Something about the job changed, which is in that state now, or about who waits for it.

        Where it only gets on, nothing is looked at before the chat may be told.
        """
        if state == self._seen and state in GETTING_ON:
            if not self._is_quiet:
                self._look_in_turn()
        else:
            self._changed.set()

    def _look_in_turn(self) -> None:
        if self._clock or self._changed.is_set():
            return
        loop = asyncio.get_running_loop()
        wait = self._quiet_until - loop.time()
        wait = wait if wait > 0 else self._tools.pacing.claim_progress(self._chat_id)
        if wait > 0:
            self._clock = loop.call_later(wait, self._its_turn)
        else:
            self._changed.set()

    def _its_turn(self) -> None:
        self._clock = None
        self._look_in_turn()

    async def run(self) -> None:
        """Follow until there is nothing more to tell here.

        Raises redis errors; running it again goes on where it stopped. Raises `TakenForDead`.
        """
        try:
            await self._follow()
        finally:
            if self._clock:
                self._clock.cancel()
                self._clock = None

    async def _follow(self) -> None:
        while watcher := await self._watcher():
            job = await self._job(watcher)
            self._seen, self._is_quiet = None, watcher.is_quiet
            if isinstance(job, Job):
                self._seen = job.state
                begin(job=job.id, chat=self._chat_id, source=job.request.source)
            if job is None:
                log.warning("the job's record is gone")
                await self._tools.watchers.remove(watcher)
                return
            with speaking(watcher.language):
                try:
                    if isinstance(job, OtherVersion):
                        await self._refuse(watcher, job)
                        return
                    await self._tell(watcher, job)
                except TelegramAPIError as error:
                    log.warning("Telegram refused: %s", error)
                    await self._meet(watcher, error)

    async def _watcher(self) -> Watcher | None:
        """The watcher as it is now; of one that this release can't read, what its key says."""
        watcher = await self._tools.watchers.get(self._key)
        if watcher or not await self._tools.watchers.is_there(self._key):
            self._readable = True
            return watcher
        self._readable = False
        return Watcher(job_id=self._key.partition(":")[0], chat_id=self._chat_id, user_id=self._chat_id)

    async def _job(self, watcher: Watcher) -> Job | OtherVersion | None:
        try:
            return await self._tools.store.read(watcher.job_id) if self._readable else OtherVersion()
        except OtherVersion as error:
            return error

    async def _refuse(self, watcher: Watcher, error: OtherVersion) -> None:
        await self._show(watcher, status_message.refused(error))
        await self._give_up(watcher)
        log.error("a record was refused: %s", error)

    async def _tell(self, watcher: Watcher, job: Job) -> None:
        """Bring the chat up to date."""
        if watcher.cancelled_by:
            await self._end_as_hoped(watcher, status_message.cancelled(job, watcher.cancelled_by))
        elif job.state.is_open:
            await self._show_running(watcher, job)
            seconds = IN_LINE_SECONDS if job.state is JobState.QUEUED else LOOK_SECONDS
            # Not all at once, where a start began to follow a thousand of them.
            await self._next_change(self._look_after(seconds) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        elif job.state is JobState.READY:
            await self._deliver(watcher, job)
        elif job.state is JobState.FAILED:
            screen = news.of_a_follow(status_message.failed_by_record(job), watcher, job)
            await self._end(watcher, self._offering(screen, job))
        else:
            await self._start_over(watcher, job)

    def _look_after(self, seconds: float) -> float:
        """Where nothing is shown on the way, events tell soon enough what comes of it."""
        return QUIET_LOOK_SECONDS if self._is_quiet else seconds

    async def _meet(self, watcher: Watcher, error: TelegramAPIError) -> None:
        """Do what this trouble calls for, so that the next turn of the loop can go well."""
        watcher = await self._fresh(watcher)
        match trouble(error):
            case Trouble.LATER:
                await asyncio.sleep(TROUBLE_SECONDS)
            case Trouble.MESSAGE_LOST:
                await self._tools.watchers.update(watcher, message_id=None, shown="")
            case Trouble.UPGRADED if isinstance(error, TelegramMigrateToChat):
                await self._tools.addresses.moved(self._chat_id, error.migrate_to_chat_id)
                await self._move(watcher, error.migrate_to_chat_id, redirected=False)
            case Trouble.NO_TOPIC if watcher.thread_id is not None:
                # Without a topic it goes to the general one.
                await self._tools.watchers.update(watcher, thread_id=None, asked_in=None)
            case Trouble.NO_TOPIC | Trouble.NO_RIGHT if watcher.chat_id != watcher.user_id:
                with suppress(TelegramAPIError):
                    await self._show(watcher, status_message.goes_private(watcher.job_id))
                await self._move(watcher, watcher.user_id, redirected=True)
            case Trouble.GONE:
                await self._tools.addresses.gone(self._chat_id)
                await self._give_up(watcher)
            case _:
                await self._give_up(watcher)

    async def _move(self, watcher: Watcher, chat_id: int, *, redirected: bool) -> None:
        """Go on in another chat, with a status message of its own. The job has one watcher more for a moment."""
        here: dict[str, object] = {"thread_id": None, "asked_in": None, "message_id": None, "shown": ""}
        if redirected:
            joined = {} if watcher.is_quiet else {watcher.user_id: watcher.user_name}
            here |= {"redirected": True, "joined": joined}
        await self._hand_on(watcher, watcher.model_copy(update={"chat_id": chat_id, **here}))

    async def _hand_on(self, watcher: Watcher, successor: Watcher) -> None:
        # In this order: a bot that is killed in between does it once more, and nobody is forgotten.
        await self._tools.watchers.add(successor)
        await self._tools.watchers.remove(watcher)

    async def _fresh(self, watcher: Watcher) -> Watcher:
        """The watcher as it is now: others write to it while we wait."""
        return await self._tools.watchers.get(self._key) or watcher

    async def _next_change(self, seconds: float) -> None:
        # Not wait_for: in Python 3.11 it may swallow the cancellation of its task.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _show_running(self, watcher: Watcher, job: Job) -> None:
        if watcher.is_quiet:
            await self._take_back(watcher)
            return
        if await self._tools.boards.covers(watcher):
            if watcher.message_id is None:
                await self._nod(watcher)
                return
            screen = status_message.on_the_board(job, watcher)
        else:
            place = await self._tools.line.place(job.id) if job.state is JobState.QUEUED else None
            screen = _for(watcher, status_message.running(job, place, watcher))
        if watcher.message_id is None:
            await self._send(watcher, screen)
        else:
            await self._try_to_show(watcher, screen)

    async def _try_to_show(self, watcher: Watcher, screen: Screen) -> Watcher:
        """Show it in the status message if it shows something else and the chat can be told now."""
        if digest(screen) == watcher.shown or not await self._tools.pacing.try_progress(watcher.chat_id):
            return watcher
        watcher = await self._edit(watcher, screen)
        others = self._neighbours[self._chat_id] - 1
        self._quiet_until = asyncio.get_running_loop().time() + others * TURN_SECONDS
        return watcher

    async def _take_back(self, watcher: Watcher) -> None:
        """Who asked as well does not wait any more: what was said to them goes."""
        if watcher.message_id is None:
            return
        with suppress(TelegramBadRequest):
            await self._tools.bot.delete_message(watcher.chat_id, watcher.message_id)
        await self._tools.watchers.update(watcher, message_id=None, shown="")

    async def _nod(self, watcher: Watcher) -> None:
        """Show that the request was seen, where a board tells the rest."""
        if watcher.shown == NODDED or watcher.asked_in is None:
            return
        # A group may allow no reactions, and the board says it anyway.
        with suppress(TelegramAPIError):
            seen = ReactionTypeEmoji(emoji="👀")
            await self._tools.bot.set_message_reaction(watcher.chat_id, watcher.asked_in, reaction=[seen])
        await self._tools.watchers.update(watcher, shown=NODDED)

    async def _show(self, watcher: Watcher, screen: Screen) -> Watcher:
        """Show it whatever it takes: in the status message, or in a new one where there is none."""
        screen = _for(watcher, screen)
        if digest(screen) == watcher.shown:
            return watcher
        if watcher.message_id is None:
            return await self._send(watcher, screen)
        await self._tools.pacing.slot(watcher.chat_id)
        return await self._edit(watcher, screen)

    async def _send(self, watcher: Watcher, screen: Screen) -> Watcher:
        # A bot that is killed before the id is noted, or an answer that is lost, leaves a message nobody edits any more.
        message = await self._tools.bot.send_message(
            watcher.chat_id,
            screen.text,
            message_thread_id=watcher.thread_id,
            reply_markup=screen.keyboard,
            reply_parameters=watcher.destination.reply,
            link_preview_options=screen.preview,
            disable_notification=True,
        )
        return await self._tools.watchers.update(watcher, message_id=message.message_id, shown=digest(screen))

    async def _edit(self, watcher: Watcher, screen: Screen) -> Watcher:
        try:
            await edit(self._tools.bot, Spot(watcher.chat_id, watcher.message_id or 0), screen)
        except TelegramAPIError as error:
            if trouble(error) is not Trouble.REFUSED:
                raise
            log.error("a status message was refused: %s", error)  # noqa: TRY400
        return await self._tools.watchers.update(watcher, shown=digest(screen))

    async def _deliver(self, watcher: Watcher, job: Job) -> None:
        async def announce(upload: Upload) -> None:
            nonlocal watcher
            if watcher.shown == NODDED or watcher.is_quiet:
                return  # the chat has little to spare: its own message comes with the end
            screen = status_message.uploading(job, upload)
            if upload.percent is None:
                watcher = await self._show(watcher, screen)
            else:
                watcher = await self._show_percent(watcher, screen)

        delivery = asyncio.create_task(self._tools.courier.deliver(watcher, job, announce))
        try:
            if await self._finished_or_cancelled(delivery):
                await delivery
                await self._finish(await self._fresh(watcher), job)
        except DeliveryError as error:
            fresh = await self._fresh(watcher)
            await self._end(fresh, news.of_a_follow(status_message.failed(job, str(error)), fresh, job))
        except asyncio.CancelledError:
            await self._wait_for_the_answer(delivery)
            raise
        finally:
            delivery.cancel()

    async def _finish(self, watcher: Watcher, job: Job) -> None:
        """All is sent, as far as is known."""
        await self._tools.history.add(job.request, watcher.user_id, watcher.chat_id)
        if watcher.unsure:
            await self._end(watcher, news.of_a_follow(status_message.unsure(job, watcher.unsure), watcher))
        else:
            await self._end_as_hoped(watcher, self._offering(status_message.done(job), job))

    async def _show_percent(self, watcher: Watcher, screen: Screen) -> Watcher:
        """Show how far an upload is, which goes on whatever comes of that."""
        if watcher.message_id is None or asyncio.get_running_loop().time() < self._quiet_until:
            return watcher
        try:
            return await self._try_to_show(watcher, _for(watcher, screen))
        except (TelegramAPIError, RedisError) as error:
            log.info("chat %s: how far an upload is can't be shown: %s", watcher.chat_id, error)
            lost = isinstance(error, TelegramAPIError) and trouble(error) is Trouble.MESSAGE_LOST
            return watcher.model_copy(update={"message_id": None, "shown": ""}) if lost else watcher

    async def _wait_for_the_answer(self, delivery: asyncio.Task[None]) -> None:
        """The bot stops. If Telegram has all of a file, its answer decides whether the next bot knows that it arrived."""
        watcher = await self._tools.watchers.get(self._key)
        if watcher and watcher.handed_over:
            await asyncio.wait({delivery}, timeout=ANSWER_SECONDS)

    def _offering(self, screen: Screen, job: Job) -> Screen:
        return status_message.with_elsewhere(screen, job) if self._tools.has_others else screen

    async def _finished_or_cancelled(self, delivery: asyncio.Task[None]) -> bool:
        """Wait until the delivery is over (True) or the watcher is cancelled (False)."""
        while not delivery.done():
            waiting = asyncio.create_task(self._next_change(self._look_after(LOOK_SECONDS)))
            await asyncio.wait({delivery, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            now = await self._tools.watchers.get(self._key)
            if not delivery.done() and (now is None or now.cancelled_by):
                return False
        return True

    async def _end(self, watcher: Watcher, screen: Screen) -> None:
        await self._show(watcher, screen)
        await self._give_up(watcher)
        log.info("settled")

    async def _end_as_hoped(self, watcher: Watcher, screen: Screen) -> None:
        """The end that people expect: it is told only where something was told before."""
        if watcher.is_quiet and watcher.message_id is None:
            await self._give_up(watcher)
        else:
            await self._end(watcher, screen)

    async def _give_up(self, watcher: Watcher) -> None:
        """Nothing more to tell here. The last one who waited lets go of the job as well."""
        if await self._tools.watchers.remove(watcher):
            await self._tools.let_go(watcher.job_id)

    async def _start_over(self, watcher: Watcher, job: Job) -> None:
        """The job ended for somebody else just as this watcher joined it: ask for the same once more."""
        try:
            submitted = await self._tools.dispatch.submit(
                job.request, FOLLOWING if watcher.is_quiet else watcher.requester, limited=not watcher.is_quiet
            )
        except RequestError as error:
            await self._end(watcher, status_message.failed(job, sentence(error.code, error.detail)))
        else:
            await self._hand_on(watcher, watcher.model_copy(update={"job_id": submitted.job_id, "shown": ""}))


def _for(watcher: Watcher, screen: Screen) -> Screen:
    return status_message.in_private(screen) if watcher.redirected else screen
