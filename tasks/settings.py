"""The settings of the workers, read once from the environment and `.env`; `.env.example` explains each."""

import difflib
import hashlib
import re
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks import redis_address
from tasks.redis_address import RedisAddress
from tasks.setting_values import (
    CONSUMET_SEGMENTS,
    BaseUrl,
    Catalogs,
    LibraryDir,
    NameAndPassword,
    RedisUrl,
    Segments,
    StorageUrl,
    is_loopback,
)

ENV_FILE = ".env"

BYTES_OF_A_SOCKET_PATH = 100
"""Unix sockets refuse longer paths (108 bytes on Linux, 104 on macOS)."""
EMPTY_MEANS_OFF = {"mangadex_api_url"}
"""Fields whose empty value differs from none."""
WRONG_SETTING = 2
"""The exit status where a setting is wrong: a new start would change nothing."""


class SettingsError(Exception):
    """A setting is wrong; the text is one line that names it, its value and what is allowed."""


def refused(error: SettingsError) -> SystemExit:
    """What ends this process, once stderr has the one line that says why."""
    sys.stderr.write(f"Wrong setting: {error}\n")
    return SystemExit(WRONG_SETTING)


class TaskSettings(BaseSettings):
    """What workers, beat and everything that submits jobs need to know."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    celery_broker_url: RedisUrl = SecretStr("")
    celery_result_backend: RedisUrl = SecretStr("")
    mangapi_url: BaseUrl = ""
    consumet_providers: Segments = CONSUMET_SEGMENTS
    mangadex_api_url: BaseUrl = "https://api.mangadex.org"
    mangadex_client_id: str = ""
    mangadex_client_secret: SecretStr = SecretStr("")
    mangadex_username: str = ""
    mangadex_password: SecretStr = SecretStr("")
    library_dir: LibraryDir = None
    opds_catalogs: Catalogs = ()
    data_dir: Path = Path("data")
    storage_url: StorageUrl = ""
    aws_access_key_id: str = ""
    aws_secret_access_key: SecretStr = SecretStr("")
    aws_region: str = ""
    aws_endpoint_url: BaseUrl = ""
    cache_limit_mb: int = Field(default=5000, ge=0)
    download_concurrency: int = Field(default=8, ge=1, le=16)
    source_rate_limit: int = Field(default=5, ge=1, le=1000)
    look_interval: int = Field(default=60, ge=1, le=86_400)
    max_chapters_per_job: int = Field(default=200, ge=1)
    max_active_jobs_per_user: int = Field(default=5, ge=1)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    task_time_limit: int = Field(default=1800, ge=1)
    task_soft_time_limit: int = Field(default=1500, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _ignore_empty(cls, values: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in values.items() if value != "" or name in EMPTY_MEANS_OFF}

    @model_validator(mode="after")
    def _whole_account(self) -> Self:
        account = self.mangadex_account
        if any(account) and not all(account):
            raise ValueError(
                "MANGADEX_CLIENT_ID, MANGADEX_CLIENT_SECRET, MANGADEX_USERNAME and MANGADEX_PASSWORD go together: "
                "set all of them, or none"
            )
        return self

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        # Other programs have such variables as well.
        if self.storage_url and bool(self.aws_access_key_id) != bool(self.aws_secret_access_key.get_secret_value()):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both of them, or none")
        return self

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
    def mangadex_account(self) -> tuple[str, str, str, str]:
        """Client id and secret, user name and password, all empty where there is no personal client."""
        return (
            self.mangadex_client_id,
            self.mangadex_client_secret.get_secret_value(),
            self.mangadex_username,
            self.mangadex_password.get_secret_value(),
        )

    @property
    def names_no_source(self) -> bool:
        """Whether the operator said nothing of where manga come from."""
        mangadex = self.mangadex_api_url and "mangadex_api_url" in self.model_fields_set
        return not (self.mangapi_url or mangadex or self.library_dir or self.opds_catalogs)

    @property
    def cache_limit(self) -> int:
        """Bytes that whole chapters may take on disk; 0 = none is kept."""
        return self.cache_limit_mb * 1_000_000

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
        """The server of queue and records, as it is set; may hold a password."""
        return self.celery_broker_url.get_secret_value() or f"redis+socket://{quote(str(self.redis_socket))}"

    @property
    def broker(self) -> RedisAddress:
        """The server of queue and records."""
        return redis_address.parse(self.redis_url)

    @property
    def results(self) -> RedisAddress:
        """The server of the states that Celery keeps."""
        return redis_address.parse(self.celery_result_backend.get_secret_value() or self.redis_url)

    @property
    def broker_url(self) -> str:
        """The server of queue and records, as Celery writes it; may hold a password."""
        return self.broker.celery_url

    @property
    def result_backend(self) -> str:
        """Where Celery keeps its states; may hold a password."""
        return self.results.celery_url


class FlowerSettings(TaskSettings):
    """What Flower needs to know; the names are its own."""

    flower_basic_auth: NameAndPassword = SecretStr("")
    flower_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65535)

    @model_validator(mode="after")
    def _password_for_others(self) -> Self:
        if not self.flower_basic_auth.get_secret_value() and not is_loopback(self.flower_address):
            raise ValueError(
                f"FLOWER_BASIC_AUTH is empty: has to be name:password, as Flower listens at {self.flower_address!r}"
            )
        return self


S = TypeVar("S", bound=TaskSettings)


READ_BY_OTHERS = frozenset(
    {
        "REDIS_PASSWORD",
        "PUBLISH_API",
        "PUBLISH_FLOWER",
        "PUBLISH_GRAFANA",
        "GRAFANA_PASSWORD",
        "CONSUMET_IMAGE",
        "TELEGRAM_API_ID",
        "TELEGRAM_API_HASH",
    }
)
"""Names in `.env` that only docker-compose.yml reads."""
LOOKS_LIKE = 0.85
"""Similarity from which an unknown name counts as a slip of the pen; the file may hold settings of other programs."""


def load(kind: type[S]) -> S:
    """Read settings of `kind` from the environment and `.env`. Raises `SettingsError`."""
    try:
        settings = kind()
        _refuse_slips(kind, dotenv_values(ENV_FILE))
    except ValidationError as error:
        raise SettingsError(_in_one_line(kind, error)) from None
    except OSError as error:
        raise SettingsError(f"{ENV_FILE} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{ENV_FILE} can't be read: it is no UTF-8 text") from None
    return settings


def _refuse_slips(kind: type[TaskSettings], names: Iterable[str]) -> None:
    for name in names:
        known = [*READ_BY_OTHERS, *(field.upper() for field in kind.model_fields)]
        meant = difflib.get_close_matches(name.upper(), known, n=1, cutoff=LOOKS_LIKE)
        if meant and name.upper() not in known:
            raise SettingsError(f"{name} in {ENV_FILE} is unknown: did you mean {meant[0]}?")


def _in_one_line(kind: type[TaskSettings], error: ValidationError) -> str:
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return reason
    name = str(first["loc"][0])
    if kind.model_fields[name].annotation is SecretStr or name == "opds_catalogs":
        return f"{name.upper()} {reason}"
    # To the last @: a password that was not encoded may have a slash in it, as Amazon's keys do.
    value = re.sub(r"//.*@", "//…@", str(first["input"]), flags=re.DOTALL)
    return f"{name.upper()} is {value!r}: {reason[0].lower()}{reason[1:]}"


@cache
def task_settings() -> TaskSettings:
    """The settings of this process, read at the first call. Raises `SettingsError`."""
    return load(TaskSettings)
