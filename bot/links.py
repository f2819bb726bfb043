"""Links that open the bot, and what `Share` types into another chat. Pure."""

import re

FILE, TITLE = "f", "t"
PAYLOAD = re.compile(r"([ft])([A-Za-z0-9_-]{16,40})")


def link(username: str, kind: str, token: str) -> str:
    """Opens a private chat with the bot, which gets `/start <payload>`."""
    return f"https://t.me/{username}?start={kind}{token}"


def inline(kind: str, token: str) -> str:
    """What `Share` types behind the bot's name."""
    return f"{kind}:{token}"


def parse(text: str) -> tuple[str, str] | None:
    """Kind and token of a payload or of what `Share` typed; None = it is neither."""
    matched = PAYLOAD.fullmatch(text.replace(":", "", 1))
    return (matched[1], matched[2]) if matched else None
