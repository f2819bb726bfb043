"""Brings a job's finished files into a chat, each once.

Telegram has no way to ask whether an upload arrived. The window in which a crash could send a file twice is as small as that
allows: it opens when the last bytes of a file are about to go out, which the watcher notes as `handed_over`, and closes with
Telegram's answer, which counts it as `sent`. What broke off before is sent again: Telegram can't have it. What broke off in the
window is never sent again by itself: the person is told, and has a button for it.

A Bot API server of the operator's own may read files by itself, where it has our folder at the same path. Nobody tells us
whether it does: files are offered by their paths until one is refused so and then taken with its bytes. What goes by its path
is in the window from the beginning, as its address is all that is sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramEntityTooLarge, TelegramNetworkError
from aiogram.types import Message

from bot.delivery.copies import share_buttons
from bot.delivery.links import Links
from bot.delivery.outgoing import OutgoingFile, OutgoingPath
from bot.delivery.status_message import Upload, caption, sent_file
from bot.delivery.trouble import Trouble, trouble
from bot.delivery.upload_progress import telling
from bot.language import say
from bot.memory.shared import Shared
from bot.memory.watchers import Watcher, Watchers
from tasks.errors import FileGone, StorageDown
from tasks.jobs.job import ArchiveFile, Job
from tasks.storage import Storage

log = logging.getLogger(__name__)

SLOWEST_UPLOAD = 64_000
"""Bytes a second an upload is waited for; slower ones are given up."""

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
    _local_server: bool
    _sees_nothing: bool = False
    """That server can't read our files."""

    async def deliver(self, watcher: Watcher, job: Job, announce: Announce) -> None:
        """Send every file of the job that the chat does not have yet.

        Raises `DeliveryError`, or the `TelegramAPIError` of a chat in trouble; what was sent before stays counted.
        """
        files = job.result.files if job.result else ()
        if watcher.handed_over:
            watcher = await self._count_as_unsure(watcher)
        for number, file in list(enumerate(files, start=1))[watcher.sent :]:
            upload = Upload(number, len(files))
            await announce(upload)
            try:
                await self._send(watcher, job, upload, file, announce)
            except _AnswerLost:
                watcher = await self._count_as_unsure(watcher)
            else:
                watcher = await self._watchers.update(watcher, handed_over=False, sent=number)
                log.info("file %s of %s sent", number, len(files))

    async def _count_as_unsure(self, watcher: Watcher) -> Watcher:
        number = watcher.sent + 1
        log.warning("file %s may have arrived, or not", number)
        return await self._watchers.update(watcher, handed_over=False, sent=number, unsure=(*watcher.unsure, number))

    async def _send(self, watcher: Watcher, job: Job, upload: Upload, file: ArchiveFile, announce: Announce) -> None:
        await self._wait_for(job, file)
        path = self._storage.path(job.id, file)

        async def note() -> None:
            await self._watchers.update(watcher, handed_over=True)

        async def tell(percent: int) -> None:
            await announce(replace(upload, percent=percent))

        async def send(outgoing: OutgoingFile) -> None:
            sending = self._upload(outgoing, watcher, job, upload.number, file)
            await self._see_through(watcher, job, upload.number, sending, lambda: outgoing.handed_over)

        try:
            if self._links.takes(file):
                await note()
                sending = self._links.send(watcher, job, upload.number)
                await self._see_through(watcher, job, upload.number, sending, lambda: True)
                return
            offered = path is not None and self._local_server and not self._sees_nothing
            if path and offered:
                with suppress(_Refused):
                    await send(OutgoingPath(path, note))
                    return
            outgoing = OutgoingFile(file.name, file.size, partial(self._storage.open, job.id, file), note)
            async with telling(outgoing, tell):
                await send(outgoing)
        except _Refused as refusal:
            raise DeliveryError(refusal.why) from refusal
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
            if isinstance(error, TelegramNetworkError) and handed_over() and not refused:
                raise _AnswerLost from error
            await self._watchers.update(watcher, handed_over=False)
            if refused:
                raise _Refused(_why(error)) from error
            raise
        if message.document:
            await self._shared.note(job, number, sent_file(job, number, message.document.file_id))

    async def _upload(
        self, outgoing: OutgoingFile, watcher: Watcher, job: Job, number: int, file: ArchiveFile
    ) -> Message:
        others = [(who, name) for who, name in watcher.joined.items() if who != watcher.user_id]
        return await self._bot.send_document(
            watcher.chat_id,
            outgoing,
            caption=caption(sent_file(job, number), others if number == 1 and watcher.chat_id < 0 else ()),
            reply_markup=await share_buttons(self._bot, self._shared, job.request.key, number),
            message_thread_id=watcher.thread_id,
            reply_parameters=watcher.destination.reply,
            disable_content_type_detection=True,
            # To a server of the operator's own, and from there: one after the other.
            request_timeout=int(max(120, (2 if self._local_server else 1) * file.size / SLOWEST_UPLOAD)),
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
