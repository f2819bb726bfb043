"""What Telegram's words mean."""

import pytest
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import SendMessage

from bot.delivery.trouble import Trouble, trouble

METHOD = SendMessage(chat_id=1, text="x")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (TelegramForbiddenError(METHOD, "Forbidden: bot was blocked by the user"), Trouble.GONE),
        (TelegramForbiddenError(METHOD, "Forbidden: bot was kicked from the supergroup chat"), Trouble.GONE),
        (TelegramForbiddenError(METHOD, "Forbidden: user is deactivated"), Trouble.GONE),
        (TelegramBadRequest(METHOD, "Bad Request: chat not found"), Trouble.GONE),
        (TelegramMigrateToChat(METHOD, "Bad Request: group chat was upgraded", -100), Trouble.UPGRADED),
        (TelegramBadRequest(METHOD, "Bad Request: message to edit not found"), Trouble.MESSAGE_LOST),
        (TelegramBadRequest(METHOD, "Bad Request: message can't be edited"), Trouble.MESSAGE_LOST),
        (TelegramBadRequest(METHOD, "Bad Request: MESSAGE_ID_INVALID"), Trouble.MESSAGE_LOST),
        (TelegramBadRequest(METHOD, "Bad Request: message thread not found"), Trouble.NO_TOPIC),
        (TelegramBadRequest(METHOD, "Bad Request: TOPIC_CLOSED"), Trouble.NO_TOPIC),
        (TelegramBadRequest(METHOD, "Bad Request: not enough rights to send documents to the chat"), Trouble.NO_RIGHT),
        (TelegramBadRequest(METHOD, "Bad Request: have no write access to the chat"), Trouble.NO_RIGHT),
        (TelegramBadRequest(METHOD, "Bad Request: can't parse entities: Unsupported start tag"), Trouble.REFUSED),
        (TelegramEntityTooLarge(METHOD, "Request Entity Too Large"), Trouble.REFUSED),
        (TelegramRetryAfter(METHOD, "Too Many Requests: retry after 5", 5), Trouble.LATER),
        (TelegramServerError(METHOD, "Internal Server Error: restart"), Trouble.LATER),
        (TelegramNetworkError(METHOD, "Request timeout error"), Trouble.LATER),
    ],
)
def test_every_refusal_has_its_meaning(error: TelegramAPIError, meaning: Trouble) -> None:
    assert trouble(error) is meaning
