"""The settings of the workers, read once from the environment and `.env`; `.env.example` explains each."""

import difflib
import hashlib
import re
import tempfile
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tasks import redis_address
from tasks.redis_address import RedisAddress

ENV_FILE = ".env"

BYTES_OF_A_SOCKET_PATH = 100
"""Unix sockets refuse longer paths (108 bytes on Linux, 104 on macOS)."""

CONSUMET_SEGMENTS = ("mangadex", "mangahere", "mangapill", "mangakakalot", "managreader")
FURTHER_SEGMENT = re.compile(r"[a-z][a-z0-9-]{0,31}:(?:1[3-9]|2[1-9]|3[1-9])")
"""A provider that a Consumet API has and we know nothing special of, and a number that no other source has."""


def _segments(values: tuple[str, ...]) -> tuple[str, ...]:
    further = [one for one in values if one not in CONSUMET_SEGMENTS]
    wrong = next((one for one in further if not FURTHER_SEGMENT.fullmatch(one)), None)
    if wrong is not None:
        known = ", ".join(CONSUMET_SEGMENTS)
        raise ValueError(
            f"{wrong!r} is none of {known}; another one has a number behind it, 13 to 39, such as asurascans:13"
        )
    for part in (0, -1):
        if len({one.split(":")[part] for one in values}) < len(values):
            raise ValueError("has a provider or a number twice")
    taken = {one.split(":")[0] for one in further} & {*TAKEN_NAMES, *CONSUMET_SEGMENTS}
    if taken:
        raise ValueError(f"{taken.pop()!r} is the name of another source")
    return values


class SettingsError(Exception):
    """A setting is wrong; the text is one line that names it, its value and what is allowed."""


def words(value: object) -> object:
    """A text of words parted by spaces or commas as a list of them; anything else as it is."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]


def _address(value: str) -> SplitResult | None:
    """The parts of an address that names a host or a path; None = it is no such address."""
    try:
        parts = urlsplit(value)
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable and parts.scheme and value.isprintable() and " " not in value else None


def _base_url(value: str) -> str:
    parts = _address(value)
    if value and (parts is None or parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("has to be an address such as https://host:port/path")
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""Empty, or an http address without a slash at its end."""


def _redis_url(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    try:
        tls = redis_address.parse(value).tls if value else {}
        for name in redis_address.TLS_FILES:
            if name in tls and not Path(str(tls[name])).is_file():
                raise ValueError(f"has to name a file in {name}")  # noqa: TRY301 - told as what parse finds
    except ValueError as error:
        # Only its beginning is told, as the rest may hold a password.
        told = re.sub(r"://.*", "://…", value, flags=re.DOTALL)
        raise ValueError(f"is {told!r}: {error}") from None
    return secret


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
"""Empty, or the address of a Redis server as `tasks.redis_address` tells it; may hold a password."""


STORE_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?")


def _storage_url(value: str) -> str:
    if value and (not STORE_ADDRESS.fullmatch(value) or {".", ".."} & set(value.split("/"))):
        raise ValueError("has to be s3://bucket or s3://bucket/prefix; the key is AWS_ACCESS_KEY_ID's")
    return value.rstrip("/")


StorageUrl = Annotated[str, AfterValidator(_storage_url)]
"""Empty, or a bucket and maybe a prefix in it, without a slash at its end."""


def _folder(value: Path | None) -> Path | None:
    if value is not None and not value.expanduser().is_dir():
        raise ValueError("has to be a folder that can be read")
    return value and value.expanduser()


LibraryDir = Annotated[Path | None, AfterValidator(_folder)]
"""A folder that is there, or None."""


class Catalog(NamedTuple):
    """An OPDS catalog: what people call it, and its address, which may hold a password or a key."""

    name: str
    address: SecretStr


CATALOG_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
TAKEN_NAMES = {"mangadex", "mangahere", "mangapill", "mangakakalot", "mangareader", "library", "demo"}
EMPTY_MEANS_OFF = {"mangadex_api_url"}
"""Fields whose empty value differs from none."""


def _catalogs(value: object) -> object:
    if not isinstance(value, str):
        return value
    found: dict[str, SecretStr] = {}
    for word in value.split():
        name, _, address = word.partition("=")
        parts = _address(address)
        usable = parts is not None and parts.scheme in {"http", "https"} and parts.hostname
        if not usable or not CATALOG_NAME.fullmatch(name) or name in found or name in TAKEN_NAMES:
            told = re.sub(r"://\S*", "://…", word)
            raise ValueError(
                f"is {told!r} in one place: each has to be name=https://user:password@host/path, parted by spaces, "
                "with a name of its own in small letters"
            )
        found[name] = SecretStr(address.rstrip("/"))
    return tuple(Catalog(name, address) for name, address in found.items())


Catalogs = Annotated[tuple[Catalog, ...], NoDecode, BeforeValidator(_catalogs)]


class TaskSettings(BaseSettings):
    """What workers, beat and everything that submits jobs need to know."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    celery_broker_url: RedisUrl = SecretStr("")
    celery_result_backend: RedisUrl = SecretStr("")
    mangapi_url: BaseUrl = ""
    consumet_providers: Annotated[Words, AfterValidator(_segments)] = CONSUMET_SEGMENTS
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


def _name_and_password(secret: SecretStr) -> SecretStr:
    name, _, password = secret.get_secret_value().partition(":")
    if secret.get_secret_value() and not (name and password):
        raise ValueError("has to be a name and a password with a colon between them")
    return secret


class FlowerSettings(TaskSettings):
    """What Flower needs to know; the names are its own."""

    flower_basic_auth: Annotated[SecretStr, AfterValidator(_name_and_password)] = SecretStr("")
    flower_address: str = "127.0.0.1"
    flower_port: int = Field(default=5555, ge=1, le=65535)

    @model_validator(mode="after")
    def _password_for_others(self) -> Self:
        if not self.flower_basic_auth.get_secret_value() and not _is_loopback(self.flower_address):
            raise ValueError(
                f"FLOWER_BASIC_AUTH is empty: has to be name:password, as Flower listens at {self.flower_address!r}"
            )
        return self


def _is_loopback(address: str) -> bool:
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


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
