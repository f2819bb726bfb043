"""Sends what was delivered before from Telegram's own copy: no job, no upload."""

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError
from aiogram.types import InlineKeyboardMarkup

from bot import keyboards
from bot.delivery.outgoing import noting
from bot.delivery.status_message import caption
from bot.destination import Destination
from bot.memory.history import History
from bot.memory.shared import SentFile, Shared
from tasks.models import DownloadRequest


class SentJustNow(Exception):
    """The answer to that message went out a while ago, and may have arrived: it is not sent once more."""


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
        try:
            sent = [await self._send_once(request.key, file, to) for file in files]
        except TelegramNetworkError:
            raise
        except TelegramAPIError:
            # Telegram does not know the file any more, or wants none here: a job takes care of either.
            await self._shared.forget(request.key)
            return False
        if not any(sent):
            raise SentJustNow
        await self._history.add(request, user_id, to.chat_id)
        return True

    async def _send_once(self, request_key: str, file: SentFile, to: Destination) -> bool:
        """Send it unless it was; whether it was not."""
        is_going = False

        async def note() -> None:
            nonlocal is_going
            if not is_going and not await self._shared.may_send_again(request_key, file.number, to):
                raise SentJustNow
            is_going = True

        if await self._shared.went_again(request_key, file.number, to):
            return False
        try:
            # Not before its turn in the chat, which may be a while from now: a bot that ends meanwhile has sent nothing.
            with noting(note):
                await self._send(request_key, file, to)
        except SentJustNow:
            return False
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
