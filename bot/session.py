"""How the bot talks HTTP to the Bot API."""

import socket
from typing import Any

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.exceptions import ClientDecodeError, TelegramEntityTooLarge, TelegramServerError
from aiogram.methods import Response, SendDocument, TelegramMethod
from aiogram.methods.base import TelegramType

from bot.delivery.outgoing import OutgoingPath

TOO_LARGE = 413
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}
"""Seconds of silence after which the system asks whether the other side is still there, seconds between questions, and how many
of them."""


class Session(AiohttpSession):
    """aiogram's session for large files and long waits.

    It also understands the HTML that a proxy before the Bot API answers when it is in trouble.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._connector_init["socket_factory"] = _socket

    def build_form_data(self, bot: Bot, method: TelegramMethod[Any]) -> Any:
        """A form; where a file is told by its path, that is a text in it and no file."""
        if not (isinstance(method, SendDocument) and isinstance(method.document, OutgoingPath)):
            return super().build_form_data(bot, method)
        form = super().build_form_data(bot, method.model_copy(update={"document": None}))
        form.add_field("document", method.document.read(bot), content_type="text/plain")
        return form

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


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """For an address as `getaddrinfo` has it.

    The answer to a large upload takes long, and a server that went away without a word would be waited for all that time.
    """
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if option := getattr(socket, name, None):  # not every system has them
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
