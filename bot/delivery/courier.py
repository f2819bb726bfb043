"""Brings a job's finished files into a chat, each once.

Before a file goes out the watcher is marked `sending`, after Telegram's answer it counts as `sent`. Telegram has no way to
ask whether an upload arrived: what was `sending` when the bot died, or when an upload timed out, may be in the chat or not.
It is never sent blindly again; the person is told and has a button for it.
"""

import logging
from collections.abc import Awaitable, Callable

from aiogram import Bot
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
)
from aiogram.types import FSInputFile

from bot.delivery.status_message import Upload, caption
from bot.memory.watchers import Watcher, Watchers
from tasks.jobs.job import ArchiveFile, Job
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes read at a time: with aiogram's 64 KiB an upload takes three times the CPU."""
SLOWEST_UPLOAD = 64_000
"""Bytes a second an upload is waited for; slower ones are given up."""


class DeliveryError(Exception):
    """The file did not reach the chat, or may not have; the text is a sentence for the person."""


class ChatGone(Exception):
    """We may not speak to this chat at all any more."""


class Courier:
    """Uploads files from the workspace."""

    def __init__(self, bot: Bot, watchers: Watchers, workspace: Workspace) -> None:
        self._bot = bot
        self._watchers = watchers
        self._workspace = workspace

    async def deliver(self, watcher: Watcher, job: Job, announce: Callable[[Upload], Awaitable[None]]) -> Watcher:
        """Send every file of the job that the chat does not have yet; the watcher as it is then.

        Raises `DeliveryError` or `ChatGone`; what was sent before stays counted.
        """
        if job.result is None:
            raise DeliveryError("the job has no files")
        if watcher.sending:
            raise DeliveryError("the upload was interrupted; look whether the file arrived before you try again")
        for number, file in list(enumerate(job.result.files, start=1))[watcher.sent :]:
            await announce(Upload(number, len(job.result.files)))
            watcher = await self._watchers.update(watcher, sending=True)
            await self._send(watcher, job, number, file)
            watcher = await self._watchers.update(watcher, sending=False, sent=number)
            log.info("job %s: file %s of %s sent to chat %s", job.id, number, len(job.result.files), watcher.chat_id)
        return watcher

    async def _send(self, watcher: Watcher, job: Job, number: int, file: ArchiveFile) -> None:
        path = self._workspace.folder(job.id).file(file.name)
        if not path.exists():
            raise DeliveryError("the file is gone; get it again")
        try:
            await self._bot.send_document(
                watcher.chat_id,
                FSInputFile(path, file.name, CHUNK),
                caption=caption(job, number),
                message_thread_id=watcher.thread_id,
                reply_parameters=watcher.reply_to_request,
                disable_content_type_detection=True,
                request_timeout=int(max(120, file.size / SLOWEST_UPLOAD)),
            )
        except TelegramForbiddenError as error:
            raise ChatGone(error.message) from error
        except TelegramAPIError as error:
            raise DeliveryError(_why(error)) from error


def _why(error: TelegramAPIError) -> str:
    log.warning("an upload failed: %s", error)
    if isinstance(error, TelegramEntityTooLarge):
        return "Telegram says the file is too large; pick fewer chapters"
    if isinstance(error, TelegramBadRequest) and "not enough rights" in error.message:
        return "I may not send files here; ask an admin to allow it"
    if isinstance(error, TelegramNetworkError):
        return "the upload broke off; look whether the file arrived before you try again"
    return "Telegram did not take the file; try again"
