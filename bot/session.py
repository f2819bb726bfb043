"""How the bot talks HTTP to the Bot API."""

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.exceptions import ClientDecodeError, TelegramEntityTooLarge, TelegramServerError
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType

TOO_LARGE = 413


class Session(AiohttpSession):
    """aiogram's session, which also understands the HTML that a proxy before the Bot API answers when it is in trouble."""

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        try:
            return super().check_response(bot, method, status_code, content)
        except ClientDecodeError:
            if status_code == TOO_LARGE:
                raise TelegramEntityTooLarge(method, "Request Entity Too Large") from None
            # Whatever the status: an answer that is not the Bot API's means that it did not get to do anything.
            raise TelegramServerError(method, f"no answer of the Bot API, status {status_code}") from None
