"""Sends what was delivered before from Telegram's own copy: no job, no upload."""

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError
from aiogram.types import InlineKeyboardMarkup, Message, ReplyParameters

from bot import keyboards
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

    async def send(self, request: DownloadRequest, where: Message, asked_in: int, user_id: int) -> bool:
        """Whether Telegram had all of it and took it, as an answer to the message with the id `asked_in`.

        Raises `SentJustNow`, and the `TelegramNetworkError` of a send that may have arrived.
        """
        files = await self._shared.whole(request.key)
        if not files:
            return False
        if not await self._shared.may_send_again(request.key, where.chat.id, asked_in):
            raise SentJustNow
        try:
            for number, file in enumerate(files, start=1):
                await self._send(request.key, number, file, where, asked_in)
        except TelegramNetworkError:
            raise
        except TelegramAPIError:
            # Telegram does not know the file any more, or wants none here: a job takes care of either.
            await self._shared.forget(request.key)
            return False
        await self._history.add(request, user_id, where.chat.id)
        return True

    async def _send(self, request_key: str, number: int, file: SentFile, where: Message, asked_in: int) -> None:
        # Goes to the topic of `where`, if it is in one.
        await where.answer_document(
            file.file_id,
            caption=file.caption,
            reply_markup=await share_buttons(self._bot, self._shared, request_key, number),
            reply_parameters=ReplyParameters(message_id=asked_in, allow_sending_without_reply=True),
        )
