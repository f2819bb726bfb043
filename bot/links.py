"""Links that open the bot, and what `Share` types into another chat. Pure."""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What a token stands for."""

    FILE = "f"
    TITLE = "t"
    SELECTION = "s"
    ERRAND = "e"
    PICKER = "p"
    """What is picked in a menu now, by the menu's id; only for what `Share` types."""


PAYLOAD = re.compile(r"([fts]):?([A-Za-z0-9_-]{16,40})|(e)([A-Za-z0-9_-]{16})|(p):([A-Za-z0-9_-]{12})")
SETTINGS = "settings"
"""The payload that opens the settings."""


def private(username: str, payload: str) -> str:
    """Opens a private chat with the bot, which gets `/start <payload>`."""
    return f"https://t.me/{username}?start={payload}"


def link(username: str, kind: Kind, token: str) -> str:
    """Opens what the token stands for in a private chat with the bot."""
    return private(username, f"{kind}{token}")


def in_a_group(username: str, kind: Kind, token: str) -> str:
    """Asks which group, adds the bot to it if it is not there, and opens it there."""
    return f"https://t.me/{username}?startgroup={kind}{token}"


def inline(kind: Kind, token: str) -> str:
    """What `Share` types behind the bot's name."""
    return f"{kind}:{token}"


def parse(text: str) -> tuple[Kind, str] | None:
    """Kind and token of a payload or of what `Share` typed; None = it is neither."""
    matched = PAYLOAD.fullmatch(text)
    if matched is None:
        return None
    kind, token = (part for part in matched.groups() if part)
    return Kind(kind), token
