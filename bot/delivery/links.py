"""Files that are too large for a chat go there as a link, where the operator has told our address in PUBLIC_URL."""

import time

from aiogram import Bot
from aiogram.types import Message

from bot import keyboards
from bot.delivery import news
from bot.delivery.status_message import caption, sent_file
from bot.language import say
from bot.memory.fetches import LINK_SECONDS, Fetches
from bot.memory.watchers import Holder, Watcher, Watchers
from bot.settings import BotSettings
from tasks.jobs.job import ArchiveFile, Job

HOURS = LINK_SECONDS // 3600


class Links:
    """Makes and sends links."""

    def __init__(self, bot: Bot, watchers: Watchers, fetches: Fetches, settings: BotSettings) -> None:
        self._bot = bot
        self._watchers = watchers
        self._fetches = fetches
        self._settings = settings

    def takes(self, file: ArchiveFile) -> bool:
        """Whether the file goes as a link."""
        return bool(self._settings.public_url) and file.size > self._settings.upload_limit

    async def send(self, watcher: Watcher, job: Job, number: int) -> Message:
        """Send a link to the job's file of that number. Raises `TelegramAPIError`."""
        # Kept before anybody can ask for it.
        await self._watchers.hold(job.id, Holder.LINK, time.time() + LINK_SECONDS)
        token = await self._fetches.new_link(job.id, number)
        keyboard = keyboards.open_link(say("Download"), f"{self._settings.public_url}/files/{token}")
        about = say("Too large for the chat: the link works for {hours} hours, for anybody who has it.", hours=HOURS)
        return await self._bot.send_message(
            watcher.chat_id,
            f"{caption(sent_file(job, number))}{news.under_file(watcher)}\n\n{about}",
            reply_markup=keyboards.of_a_follow(keyboard, watcher.follow) if watcher.follow else keyboard,
            message_thread_id=watcher.thread_id,
            reply_parameters=watcher.destination.reply,
        )
