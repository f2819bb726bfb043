"""The settings of the bot: those of the workers, and its own."""

from functools import cache
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from tasks.settings import BaseUrl, TaskSettings, load, words

CLOUD_LIMIT_MB = 50
LOCAL_LIMIT_MB = 2000
ENVELOPE = 1_000_000
"""Bytes kept free below the limit for the caption and the form around the file."""

Ids = Annotated[tuple[int, ...], NoDecode, BeforeValidator(words)]
"""Telegram's ids of people (positive) and groups (negative), parted by spaces or commas."""


class BotSettings(TaskSettings):
    """What the bot needs to know."""

    telegram_bot_token: SecretStr = SecretStr("")
    telegram_api_url: BaseUrl = "https://api.telegram.org"
    telegram_api_local: bool = False
    allowed_chats: Ids = ()
    admins: Ids = ()
    ephemeral_menus: bool = False
    upload_limit_mb: int | None = Field(default=None, ge=2, le=LOCAL_LIMIT_MB)

    @property
    def upload_limit(self) -> int:
        """Largest file for the chat, in bytes."""
        usual = LOCAL_LIMIT_MB if self.telegram_api_local else CLOUD_LIMIT_MB
        return (self.upload_limit_mb or usual) * 1_000_000 - ENVELOPE


@cache
def bot_settings() -> BotSettings:
    """The settings of this process, read at the first call. Raises `SettingsError`."""
    return load(BotSettings)
