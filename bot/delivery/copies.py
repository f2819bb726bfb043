"""Sends what was delivered before from Telegram's own copy: no job, no upload."""

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError
from aiogram.types import InlineKeyboardMarkup

from bot import keyboards
from bot.delivery.status_message import caption
from bot.destination import Destination
from bot.memory.history import History
from bot.memory.shared import SentFile, Shared
from tasks.models import DownloadRequest


class SentJustNow(Exception):
    """The answer to that message was sent a moment ago, or a bot was killed over it: it is not sent once more."""


async def share_buttons(bot: Bot, shared: Shared, request_key: str, number: int) -> InlineKeyboardMarkup:
    """What stands under the request's file of that number, which is about to be sent."""
    token = await shared.new_token(request_key, number)
    return keyboards.share((await bot.me()).username or "", token)


class Copies:
    """Telegram's copies of what was delivered whole."""

    def __init__(self, bot: Bot, shared: Shared, history: History) -> None:
        self._bot = bot
        self._shared = shared
        self._history = history

    async def send(self, request: DownloadRequest, to: Destination, user_id: int) -> bool:
        """Whether Telegram had all of it and took it.

        Raises `SentJustNow`, and the `TelegramNetworkError` of a send that may have arrived.
        """
        files = await self._shared.whole(request.key)
        if not files:
            return False
        if not await self._shared.may_send_again(request.key, to):
            raise SentJustNow
        try:
            for file in files:
                await self._send(request.key, file, to)
        except TelegramNetworkError:
            raise
        except TelegramAPIError:
            # Telegram does not know the file any more, or wants none here: a job takes care of either.
            await self._shared.forget(request.key)
            return False
        await self._history.add(request, user_id, to.chat_id)
        return True

    async def _send(self, request_key: str, file: SentFile, to: Destination) -> None:
        await self._bot.send_document(
            to.chat_id,
            file.file_id,
            caption=caption(file),
            message_thread_id=to.thread_id,
            reply_markup=await share_buttons(self._bot, self._shared, request_key, file.number),
            reply_parameters=to.reply,
        )
