"""The settings of the bot: those of the workers, and its own."""

import re
from functools import cache
from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from tasks.setting_values import BaseUrl, words
from tasks.settings import TaskSettings, load

CLOUD_LIMIT_MB = 50
LOCAL_LIMIT_MB = 2000
ENVELOPE = 1_000_000
"""Bytes kept free below the limit for the caption and the form around the file."""

Ids = Annotated[tuple[int, ...], NoDecode, BeforeValidator(words)]
"""Telegram's ids of people (positive) and groups (negative), parted by spaces or commas."""

WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
WEBHOOK_PATH = re.compile(r"[A-Za-z0-9/._~-]*")
OURS = ("/api/", "/files/", "/metrics")
"""Beginnings of paths where something else is."""
NO_LIMIT = 10**15
"""Bytes that no archive has."""
TOKEN = re.compile(r"[\x21-\x7e]{1,256}")


def _token(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() and not TOKEN.fullmatch(secret.get_secret_value()):
        raise ValueError("has to be 1 to 256 letters, digits or signs of ASCII, without spaces")
    return secret


def _webhook_secret(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() and not WEBHOOK_SECRET.fullmatch(secret.get_secret_value()):
        raise ValueError("has to be 1 to 256 of A-Z, a-z, 0-9, _ and -")
    return secret


def _webhook_url(value: str) -> str:
    path = urlsplit(value).path
    if not WEBHOOK_PATH.fullmatch(path) or f"{path}/".startswith(OURS):
        raise ValueError(f"has to have a path of plain letters, such as /telegram, and none below {', '.join(OURS)}")
    return value


def _host(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if value != "localhost":
            raise ValueError("has to be an address such as 127.0.0.1, ::1 or 0.0.0.0, or localhost") from None
    return value


class BotSettings(TaskSettings):
    """What the bot needs to know."""

    telegram_bot_token: SecretStr = SecretStr("")
    telegram_api_url: BaseUrl = "https://api.telegram.org"
    telegram_api_local: bool = False
    allowed_chats: Ids = ()
    admins: Ids = ()
    ephemeral_menus: bool = False
    upload_limit_mb: int | None = Field(default=None, ge=2, le=LOCAL_LIMIT_MB)
    api_host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    api_token: Annotated[SecretStr, AfterValidator(_token)] = SecretStr("")
    api_rate_limit: int = Field(default=120, ge=1)
    public_url: BaseUrl = ""
    webhook_url: Annotated[BaseUrl, AfterValidator(_webhook_url)] = ""
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")

    @model_validator(mode="after")
    def _secret_for_webhook(self) -> Self:
        if self.webhook_url and not self.webhook_secret.get_secret_value():
            raise ValueError(
                "WEBHOOK_SECRET is empty, but WEBHOOK_URL is set: "
                "choose a secret of 1 to 256 of A-Z, a-z, 0-9, _ and - that only Telegram is told"
            )
        return self

    def is_open_to(self, *ids: int | None) -> bool:
        """Whether the operator lets a person, or the chat they are in, use the bot: by the ids of both."""
        return not self.allowed_chats or not {*self.allowed_chats, *self.admins}.isdisjoint(ids)

    @property
    def upload_limit(self) -> int:
        """Largest file for the chat, in bytes."""
        usual = LOCAL_LIMIT_MB if self.telegram_api_local else CLOUD_LIMIT_MB
        return (self.upload_limit_mb or usual) * 1_000_000 - ENVELOPE

    @property
    def part_limit(self) -> int:
        """Largest file of an archive for the chat, in bytes: a link takes any size there."""
        return NO_LIMIT if self.public_url else self.upload_limit


@cache
def bot_settings() -> BotSettings:
    """The settings of this process, read at the first call. Raises `SettingsError`."""
    return load(BotSettings)
