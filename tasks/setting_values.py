"""What the values of settings may be: each kind is a type, which refuses any other with the end of a sentence."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from tasks import redis_address

CONSUMET_SEGMENTS = ("mangadex", "mangahere", "mangapill", "mangakakalot", "managreader")
FURTHER_SEGMENT = re.compile(r"[a-z][a-z0-9-]{0,31}:(?:1[3-9]|2[1-9]|3[1-9])")
"""A provider that a Consumet API has and we know nothing special of, and a number that no other source has."""
TAKEN_NAMES = {"mangadex", "mangahere", "mangapill", "mangakakalot", "mangareader", "library", "demo"}
"""Of sources that are built in."""


def words(value: object) -> object:
    """A text of words parted by spaces or commas as a list of them; anything else as it is."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]


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


Segments = Annotated[Words, AfterValidator(_segments)]
"""Providers of a Consumet API."""


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


def _name_and_password(secret: SecretStr) -> SecretStr:
    name, _, password = secret.get_secret_value().partition(":")
    if secret.get_secret_value() and not (name and password):
        raise ValueError("has to be a name and a password with a colon between them")
    return secret


NameAndPassword = Annotated[SecretStr, AfterValidator(_name_and_password)]
"""Empty, or both with a colon between them."""


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine reach that address."""
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False
