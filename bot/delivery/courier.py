"""Brings a job's finished files into a chat, each once.

Telegram has no way to ask whether an upload arrived. The window in which a crash could send a file twice is as small as that
allows: it opens when the last bytes of a file are about to go out, which the watcher notes as `handed_over`, and closes with
Telegram's answer, which counts it as `sent`. What broke off before is sent again: Telegram can't have it. What broke off in the
window is never sent again by itself: the person is told, and has a button for it.

A Bot API server of the operator's own may read files by itself, where it has our folder at the same path. Nobody tells us
whether it does: files are offered by their paths until one is refused so and then taken with its bytes. What goes by its path
is in the window from the beginning, as its address is all that is sent; so is Telegram's own copy.

A file that several chats wait for is uploaded once: see `bot.delivery.turns`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramEntityTooLarge
from aiogram.types import Message

from bot import keyboards
from bot.delivery import news
from bot.delivery.copies import share_buttons
from bot.delivery.links import Links
from bot.delivery.outgoing import OutgoingFile, OutgoingPath, noting
from bot.delivery.status_message import Upload, caption, sent_file
from bot.delivery.trouble import Trouble, may_have_arrived, trouble
from bot.delivery.turns import Turn, Turns
from bot.delivery.upload_progress import telling
from bot.language import say
from bot.memory.shared import SentFile, Shared
from bot.memory.watchers import Watcher, Watchers
from bot.pacing import Pacing
from tasks.errors import FileGone, StorageDown
from tasks.jobs.job import ArchiveFile, Job
from tasks.storage import Storage

log = logging.getLogger(__name__)

SLOWEST_UPLOAD = 64_000
"""Bytes a second an upload is waited for; slower ones are given up."""

NEWS_AT_ONCE = 8
"""What nobody asked for and is sent at a time: who asked does not stand in one line with thousands, and what had its slot and
was held up does not come all at once, which Telegram would count together."""
STORAGE_SECONDS = 10.0
"""Between two looks whether a storage that was away is back."""

Announce = Callable[[Upload], Awaitable[None]]
"""Shows what is on its way: each file once for certain, and its percent where there is time for it."""


class DeliveryError(Exception):
    """The file did not reach the chat, and trying again will not help; the text is a sentence for the person."""


@dataclass
class Courier:
    """Uploads files from the storage; `_local_server`: to a Bot API server that runs with `--local`."""

    _bot: Bot
    _watchers: Watchers
    _shared: Shared
    _storage: Storage
    _links: Links
    _turns: Turns
    _pacing: Pacing
    _local_server: bool
    news_places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(NEWS_AT_ONCE))
    """One for each message that nobody asked for and that goes out, whoever sends it."""
    _sees_nothing: bool = False
    """That server can't read our files."""

    async def deliver(self, watcher: Watcher, job: Job, announce: Announce) -> None:
        """Send every file of the job that the chat does not have yet.

        Raises `DeliveryError`, or the `TelegramAPIError` of a chat in trouble; what was sent before stays counted.
        """
        files = job.result.files if job.result else ()
        if watcher.handed_over:
            watcher = await self._count_as_unsure(watcher)
        for number in range(watcher.sent + 1, len(files) + 1):
            upload = Upload(number, len(files))
            await announce(upload)
            try:
                await self._send(watcher, job, upload, announce)
            except _AnswerLost:
                watcher = await self._count_as_unsure(watcher)
            else:
                watcher = await self._watchers.update(watcher, handed_over=False, sent=number)
                log.info("file %s of %s sent", number, len(files))

    async def _count_as_unsure(self, watcher: Watcher) -> Watcher:
        number = watcher.sent + 1
        log.warning("file %s may have arrived, or not", number)
        return await self._watchers.update(watcher, handed_over=False, sent=number, unsure=(*watcher.unsure, number))

    async def _send(self, watcher: Watcher, job: Job, upload: Upload, announce: Announce) -> None:
        file = _file(job, upload)
        try:
            if self._links.takes(file):
                await self._wait_for(job, file)
                await self._send_at_once(watcher, job, upload.number, self._links.send)
                return
            copy = await self._send_first(watcher, job, upload, announce)
            if copy and not await self._send_copy(watcher, job, upload.number, copy):
                await self._wait_for(job, file)
                await self._send_file(Turn(), watcher, job, upload, announce)
        except _Refused as refusal:
            raise DeliveryError(refusal.why) from refusal

    async def _send_first(self, watcher: Watcher, job: Job, upload: Upload, announce: Announce) -> SentFile | None:
        """Upload the file, or return Telegram's copy where somebody else did."""
        if copy := await self._shared.copy_of(job, upload.number):
            return copy
        await self._wait_for(job, _file(job, upload))
        # Before others wait for this one.
        await self._pacing.until_open(watcher.chat_id)
        async with self._turns.turn(job, upload.number) as turn:
            if turn.copy is None:
                await self._send_file(turn, watcher, job, upload, announce)
            return turn.copy

    async def _send_copy(self, watcher: Watcher, job: Job, number: int, copy: SentFile) -> bool:
        """Whether Telegram took its copy."""
        places = self.news_places if watcher.is_quiet else nullcontext()
        # A chat that wants silence for long does not keep others waiting.
        await self._pacing.until_open(watcher.chat_id)
        try:
            async with places:
                await self._send_at_once(watcher, job, number, partial(self._document, copy.file_id))
        except _Refused:
            await self._shared.forget(job.request.key)
            return False
        return True

    async def _send_at_once(
        self, watcher: Watcher, job: Job, number: int, send: Callable[[Watcher, Job, int], Awaitable[Message]]
    ) -> None:
        """Send what is in the window from the beginning."""
        handed_over = False

        async def note() -> None:
            nonlocal handed_over
            await self._watchers.update(watcher, handed_over=True)
            handed_over = True

        with noting(note):
            await self._see_through(watcher, job, number, send(watcher, job, number), lambda: handed_over)

    async def _send_file(self, turn: Turn, watcher: Watcher, job: Job, upload: Upload, announce: Announce) -> None:
        file = _file(job, upload)
        path = self._storage.path(job.id, file)

        async def note() -> None:
            await self._watchers.update(watcher, handed_over=True)

        async def tell(percent: int) -> None:
            await announce(replace(upload, percent=percent))

        async def send(outgoing: OutgoingFile) -> None:
            turn.outgoing = outgoing
            # To a server of the operator's own, and from there: one after the other.
            timeout = int(max(120, (2 if self._local_server else 1) * file.size / SLOWEST_UPLOAD))
            sending = self._document(outgoing, watcher, job, upload.number, timeout)
            await self._see_through(watcher, job, upload.number, sending, lambda: outgoing.handed_over)

        offered = path is not None and self._local_server and not self._sees_nothing
        if path and offered:
            with suppress(_Refused):
                await send(OutgoingPath(path, note))
                return
        outgoing = OutgoingFile(file.name, file.size, partial(self._storage.open, job.id, file), note)
        async with telling(outgoing, tell):
            await send(outgoing)
        if offered:
            self._sees_nothing = True
            log.warning("the Bot API server can't read %s: from now on files go to it byte by byte", path)

    async def _see_through(
        self, watcher: Watcher, job: Job, number: int, sending: Awaitable[Message], handed_over: Callable[[], bool]
    ) -> None:
        """Raises `_Refused` where Telegram does not want it, and `_AnswerLost` where it may have it, by `handed_over`."""
        try:
            message = await sending
        except TelegramAPIError as error:
            log.warning("file %s did not go: %s", number, error)
            refused = trouble(error) is Trouble.REFUSED
            if may_have_arrived(error) and handed_over():
                raise _AnswerLost from error
            await self._watchers.update(watcher, handed_over=False)
            if refused:
                raise _Refused(_why(error)) from error
            raise
        if message.document:
            await self._shared.note(job, number, sent_file(job, number, message.document.file_id))

    async def _document(
        self, document: OutgoingFile | str, watcher: Watcher, job: Job, number: int, request_timeout: int | None = None
    ) -> Message:
        others = [(who, name) for who, name in watcher.joined.items() if who != watcher.user_id]
        about = caption(sent_file(job, number), others if number == 1 and watcher.chat_id < 0 else ())
        buttons = await share_buttons(self._bot, self._shared, job.request.key, number)
        if watcher.follow and job.result and number == len(job.result.files):
            about += news.under_file(watcher)
            if job.result.missing:
                buttons = keyboards.with_retry_missing(buttons, job.id)
            buttons = keyboards.of_a_follow(buttons, watcher.follow)
        return await self._bot.send_document(
            watcher.chat_id,
            document,
            caption=about,
            reply_markup=buttons,
            message_thread_id=watcher.thread_id,
            reply_parameters=watcher.destination.reply,
            disable_content_type_detection=None if isinstance(document, str) else True,
            request_timeout=request_timeout,
        )

    async def _wait_for(self, job: Job, file: ArchiveFile) -> None:
        """Return when the file can be read; a storage that is away comes back, or the file goes in the end."""
        while True:
            try:
                return await self._storage.check(job.id, file)
            except FileGone:
                raise DeliveryError(say("the file is gone; get it again")) from None
            except StorageDown as error:
                log.warning("job %s: the storage: %s", job.id, error)
                await asyncio.sleep(STORAGE_SECONDS)


def _file(job: Job, upload: Upload) -> ArchiveFile:
    files = job.result.files if job.result else ()
    return files[upload.number - 1]


class _AnswerLost(Exception):
    """The whole file went out, and no answer came."""


class _Refused(Exception):
    """Telegram does not want it, and does not have it; `why` is a sentence for the person."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _why(error: TelegramAPIError) -> str:
    if isinstance(error, TelegramEntityTooLarge):
        return say("Telegram says the file is too large; pick fewer chapters")
    return say("Telegram did not take the file; try again")
