"""Brings a job's finished files into a chat, each once.

Telegram has no way to ask whether an upload arrived. The window in which a crash could send a file twice is as small as that
allows: it opens when the last bytes of a file are about to go out, which the watcher notes as `handed_over`, and closes with
Telegram's answer, which counts it as `sent`. What broke off before is sent again: Telegram can't have it. What broke off in the
window is never sent again by itself: the person is told, and has a button for it.
"""

import logging
from collections.abc import Awaitable, Callable

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramEntityTooLarge, TelegramNetworkError
from aiogram.types import Message

from bot.delivery.copies import share_buttons
from bot.delivery.links import Links
from bot.delivery.outgoing import OutgoingFile
from bot.delivery.status_message import Upload, caption, sent_file
from bot.delivery.trouble import Trouble, trouble
from bot.language import say
from bot.memory.shared import Shared
from bot.memory.watchers import Watcher, Watchers
from tasks.jobs.job import ArchiveFile, Job
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

SLOWEST_UPLOAD = 64_000
"""Bytes a second an upload is waited for; slower ones are given up."""


class DeliveryError(Exception):
    """The file did not reach the chat, and trying again will not help; the text is a sentence for the person."""


class Courier:
    """Uploads files from the workspace."""

    def __init__(self, bot: Bot, watchers: Watchers, shared: Shared, workspace: Workspace, links: Links) -> None:
        self._bot = bot
        self._links = links
        self._watchers = watchers
        self._shared = shared
        self._workspace = workspace

    async def deliver(self, watcher: Watcher, job: Job, announce: Callable[[Upload], Awaitable[None]]) -> None:
        """Send every file of the job that the chat does not have yet.

        Raises `DeliveryError`, or the `TelegramAPIError` of a chat in trouble; what was sent before stays counted.
        """
        files = job.result.files if job.result else ()
        if watcher.handed_over:
            watcher = await self._count_as_unsure(watcher)
        for number, file in list(enumerate(files, start=1))[watcher.sent :]:
            await announce(Upload(number, len(files)))
            try:
                await self._send(watcher, job, number, file)
            except _AnswerLost:
                watcher = await self._count_as_unsure(watcher)
            else:
                watcher = await self._watchers.update(watcher, handed_over=False, sent=number)
                log.info("file %s of %s sent", number, len(files))

    async def _count_as_unsure(self, watcher: Watcher) -> Watcher:
        number = watcher.sent + 1
        log.warning("file %s may have arrived, or not", number)
        return await self._watchers.update(watcher, handed_over=False, sent=number, unsure=(*watcher.unsure, number))

    async def _send(self, watcher: Watcher, job: Job, number: int, file: ArchiveFile) -> None:
        path = self._workspace.folder(job.id).file(file.name)
        if not path.exists():
            raise DeliveryError(say("the file is gone; get it again"))

        async def note() -> None:
            await self._watchers.update(watcher, handed_over=True)

        outgoing = OutgoingFile(path, file.name, note)
        try:
            if self._links.takes(file):
                await note()
                outgoing.handed_over = True
                await self._links.send(watcher, job, number)
                return
            message = await self._upload(outgoing, watcher, job, number, file)
        except TelegramAPIError as error:
            log.warning("file %s did not go: %s", number, error)
            if trouble(error) is Trouble.REFUSED:
                raise DeliveryError(_why(error)) from error
            if isinstance(error, TelegramNetworkError) and outgoing.handed_over:
                raise _AnswerLost from error
            await self._watchers.update(watcher, handed_over=False)
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
            request_timeout=int(max(120, file.size / SLOWEST_UPLOAD)),
        )


class _AnswerLost(Exception):
    """The whole file went out, and no answer came."""


def _why(error: TelegramAPIError) -> str:
    if isinstance(error, TelegramEntityTooLarge):
        return say("Telegram says the file is too large; pick fewer chapters")
    return say("Telegram did not take the file; try again")
