"""What an error of Telegram means for a chat. Pure.

Telegram says it in words, not in codes: they are looked for in lower case, as the first letter varies.
"""

from enum import Enum, auto

from aiogram.exceptions import (
    TelegramAPIError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)


class Trouble(Enum):
    LATER = auto()
    """Telegram is down, slow, or wants silence: the same may go well in a while."""
    GONE = auto()
    """Blocked, kicked, or there is no such chat any more: nobody is there to be told."""
    UPGRADED = auto()
    """The group became a supergroup, which has another id."""
    NO_RIGHT = auto()
    """The bot may not write in the chat, or send no files there."""
    NO_TOPIC = auto()
    """The forum topic is closed or gone."""
    MESSAGE_LOST = auto()
    """The message to edit was deleted, or is too old to be edited."""
    REFUSED = auto()
    """Anything else: saying the same again will not help."""


WORDS = {
    "message to edit not found": Trouble.MESSAGE_LOST,
    "message can't be edited": Trouble.MESSAGE_LOST,
    "message_id_invalid": Trouble.MESSAGE_LOST,
    "message thread not found": Trouble.NO_TOPIC,
    "topic_closed": Trouble.NO_TOPIC,
    "topic_deleted": Trouble.NO_TOPIC,
    "not enough rights": Trouble.NO_RIGHT,
    "no write access": Trouble.NO_RIGHT,
    "chat_write_forbidden": Trouble.NO_RIGHT,
    "chat not found": Trouble.GONE,
    "group chat was deactivated": Trouble.GONE,
}


NO_WAY = "ClientConnector"
"""How the errors of connections begin that never came about."""


def may_have_arrived(error: TelegramAPIError) -> bool:
    """Whether Telegram may have done what it was asked for, once all of that went out."""
    if isinstance(error, TelegramEntityTooLarge) or not isinstance(error, TelegramNetworkError):
        return False
    return NO_WAY not in error.message


def trouble(error: TelegramAPIError) -> Trouble:
    """Which policy this error calls for."""
    if isinstance(error, TelegramMigrateToChat):
        return Trouble.UPGRADED
    if isinstance(error, TelegramForbiddenError):
        return Trouble.GONE
    if isinstance(error, TelegramEntityTooLarge):  # a network error to aiogram
        return Trouble.REFUSED
    if isinstance(error, TelegramNetworkError | TelegramServerError | TelegramRetryAfter):
        return Trouble.LATER
    words = error.message.lower()
    return next((meaning for text, meaning in WORDS.items() if text in words), Trouble.REFUSED)
