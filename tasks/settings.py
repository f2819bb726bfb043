"""The settings of the workers, read once from the environment and `.env`; `.env.example` explains each."""

import hashlib
import tempfile
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BYTES_OF_A_SOCKET_PATH = 100
"""Unix sockets refuse longer paths (108 bytes on Linux, 104 on macOS)."""

ConsumetSegment = Literal["mangadex", "mangahere", "mangapill", "mangakakalot", "managreader"]


class SettingsError(Exception):
    """A setting is wrong; the text is one line that names it, its value and what is allowed."""


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]


def _base_url(value: object) -> object:
    if isinstance(value, str) and value and not value.startswith(("http://", "https://")):
        raise ValueError("has to be empty or an address that starts with http:// or https://")
    return value.rstrip("/") if isinstance(value, str) else value


BaseUrl = Annotated[str, BeforeValidator(_base_url)]
"""Empty, or an http address without a slash at its end."""


class TaskSettings(BaseSettings):
    """What workers, beat and everything that submits jobs need to know."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    celery_broker_url: SecretStr = SecretStr("")
    celery_result_backend: SecretStr = SecretStr("")
    mangapi_url: BaseUrl = ""
    consumet_providers: Annotated[tuple[ConsumetSegment, ...], NoDecode, BeforeValidator(_words)] = (
        "mangadex",
        "mangahere",
        "mangapill",
        "mangakakalot",
        "managreader",
    )
    data_dir: Path = Path("data")
    download_concurrency: int = Field(default=8, ge=1, le=16)
    max_chapters_per_job: int = Field(default=200, ge=1)
    max_active_jobs_per_user: int = Field(default=5, ge=1)
    task_time_limit: int = Field(default=1800, ge=1)
    task_soft_time_limit: int = Field(default=1500, ge=1)

    @model_validator(mode="after")
    def _soft_limit_first(self) -> Self:
        # Celery arms the hard limit only after the soft one fired.
        if self.task_soft_time_limit >= self.task_time_limit:
            raise ValueError(
                f"TASK_SOFT_TIME_LIMIT is {self.task_soft_time_limit}, but has to be less than "
                f"TASK_TIME_LIMIT ({self.task_time_limit})"
            )
        return self

    @property
    def data_path(self) -> Path:
        """`DATA_DIR`, absolute."""
        return self.data_dir.expanduser().absolute()

    @property
    def redis_socket(self) -> Path:
        """Socket of the embedded Redis: in the data folder, or in a private temporary one where that path is too long."""
        socket = self.data_path / "redis" / "redis.sock"
        if len(bytes(socket)) <= BYTES_OF_A_SOCKET_PATH:
            return socket
        digest = hashlib.sha256(bytes(self.data_path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"manhwa-{digest}" / "redis.sock"

    @property
    def redis_url(self) -> str:
        """Where the jobs' records are, for redis-py; may hold a password."""
        url = self.celery_broker_url.get_secret_value()
        return (
            url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
            or f"unix://{self.redis_socket}?db=0"
        )

    @property
    def broker_url(self) -> str:
        """The same server for Celery, which writes socket addresses in another way; may hold a password."""
        return self.redis_url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")

    @property
    def result_backend(self) -> str:
        """Where Celery keeps its states; may hold a password."""
        return self.celery_result_backend.get_secret_value() or self.broker_url


S = TypeVar("S", bound=TaskSettings)


def load(kind: type[S]) -> S:
    """Read settings of `kind` from the environment and `.env`. Raises `SettingsError`."""
    try:
        return kind()
    except ValidationError as error:
        raise SettingsError(_in_one_line(error)) from None


def _in_one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return reason
    name = str(first["loc"][0]).upper()
    value = "" if "secret" in first["type"] or isinstance(first["input"], SecretStr) else f" is {first['input']!r}:"
    return f"{name}{value} {reason[0].lower()}{reason[1:]}"


@cache
def task_settings() -> TaskSettings:
    """The settings of this process, read at the first call. Raises `SettingsError`."""
    return load(TaskSettings)
