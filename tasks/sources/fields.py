"""Fields of answers that come as a text, a number, a map, a list or nothing at all. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tasks.errors import SourceFailed
from tasks.models import LONGEST_ID

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:\.\d+)?")

A = TypeVar("A", bound=BaseModel)


def text(value: object) -> str:
    """The text of a field that may be a text, a number, or texts by language; English first."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    if isinstance(value, Mapping):
        return text(value.get("en") or next(iter(value.values()), ""))
    return ""


def _texts(value: object) -> tuple[str, ...]:
    items: Iterable[object] = value if isinstance(value, list) else [value]
    return tuple(found for found in map(text, items) if found)


def _id(value: object) -> str:
    """An id; empty for one that no source has, which is passed over."""
    found = text(value)
    return found if len(found) <= LONGEST_ID else ""


Text = Annotated[str, BeforeValidator(text)]
IdText = Annotated[str, BeforeValidator(_id)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Answer(BaseModel):
    """Part of an answer; what we do not know of is passed over."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def parsed(kind: type[A], answer: object, source: str) -> A:
    """The answer as a value of that kind. Raises `SourceFailed` for one of another shape."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise SourceFailed("not the shape of an answer", source=source) from error


def plain_number(number: str) -> str | None:
    """`"001"` is `"1"`, `"010.50"` is `"10.5"`; None for what is no number."""
    if not NUMBER.fullmatch(number):
        return None
    whole, _, fraction = number.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole.lstrip('0') or '0'}{'.' + fraction if fraction else ''}"
