"""What Telegram refuses: lengths, keyboards, empty texts. Pure."""

from typing import Any

from aiogram.types import InlineKeyboardMarkup, MessageEntity
from pydantic import ValidationError

from bot.local.telegram.errors import bad_request
from bot.local.telegram.markup import parse_html

TEXT_LENGTH = 4096
CAPTION_LENGTH = 1024
RAW_BYTES = 32768
DATA_BYTES = 64
IN_A_ROW = 8
IN_ALL = 100
STYLES = {None, "primary", "success", "danger"}


def check_text(raw: str, parse_mode: str | None) -> tuple[str, list[MessageEntity]]:
    """The text a message shows. Raises `ApiError`."""
    plain, entities = _parsed(raw, parse_mode)
    if not plain.strip():
        raise bad_request("message text is empty", breach=True)
    if len(plain) > TEXT_LENGTH:
        raise bad_request("message is too long", breach=True)
    return plain, entities


def check_caption(raw: str, parse_mode: str | None) -> tuple[str, list[MessageEntity]]:
    """The caption under a file. Raises `ApiError`."""
    plain, entities = _parsed(raw, parse_mode)
    if len(plain) > CAPTION_LENGTH:
        raise bad_request("message caption is too long", breach=True)
    return plain, entities


def _parsed(raw: str, parse_mode: str | None) -> tuple[str, list[MessageEntity]]:
    if len(raw.encode()) > RAW_BYTES:
        raise bad_request("text is too long", breach=True)
    if parse_mode is None:
        return raw, []
    if parse_mode.upper() != "HTML":
        raise bad_request(f"unsupported parse_mode {parse_mode}", breach=True)
    return parse_html(raw)


def check_keyboard(value: Any) -> InlineKeyboardMarkup | None:
    """The inline keyboard of a message. Raises `ApiError`."""
    if not value:
        return None
    try:
        markup = InlineKeyboardMarkup.model_validate(value)
    except ValidationError:
        raise bad_request("can't parse reply keyboard markup JSON object", breach=True) from None
    buttons = [button for row in markup.inline_keyboard for button in row]
    if len(buttons) > IN_ALL or any(len(row) > IN_A_ROW for row in markup.inline_keyboard):
        raise bad_request("reply markup is too long", breach=True)
    for button in buttons:
        if not button.text:
            raise bad_request("text buttons are unallowed in the inline keyboard", breach=True)
        if button.callback_data is not None and not 1 <= len(button.callback_data.encode()) <= DATA_BYTES:
            raise bad_request("BUTTON_DATA_INVALID", breach=True)
        if button.style not in STYLES:
            raise bad_request("BUTTON_STYLE_INVALID", breach=True)
    return markup if buttons else None
