"""What a person typed behind `/search`: a title, and words such as `lang:en,ko status:completed order:year`. Pure."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from tasks.models import NO_FILTERS, Filters

STATUSES = ("ongoing", "completed", "hiatus", "cancelled")
FIELDS = {"lang": "languages", "from": "originals", "status": "statuses", "rating": "ratings", "order": "order"}
READABLE = "readable"
"""A word of its own after a colon: `is:readable`."""


class UnknownFilter(Exception):
    """The word is a filter's, but what stands behind the colon is none of its values."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def parse(text: str) -> tuple[str, Filters]:
    """The title, and what the search is narrowed to. Raises `UnknownFilter`."""
    title, fields = [], dict[str, Any]()
    for word in text.split():
        key, colon, value = word.partition(":")
        if not colon or not value or key.lower() not in {*FIELDS, "is"}:
            title.append(word)
        elif key.lower() == "is":
            if value.lower() != READABLE:
                raise UnknownFilter(word)
            fields["readable"] = True
        else:
            name = FIELDS[key.lower()]
            fields[name] = _checked(name, value.lower(), word)
    return " ".join(title), Filters.model_validate(fields) if fields else NO_FILTERS


def _checked(name: str, value: str, word: str) -> Any:
    parts = tuple(part for part in value.split(",") if part)
    read: Any = value if name == "order" else parts
    try:
        Filters.model_validate({name: read})
    except ValidationError as error:
        raise UnknownFilter(word) from error
    fits: Callable[[str], bool] = STATUSES.__contains__ if name == "statuses" else _is_code
    if not parts or (name in {"statuses", "languages", "originals"} and not all(map(fits, parts))):
        raise UnknownFilter(word)
    return read


def _is_code(value: str) -> bool:
    """A code of a language as sources write them, such as `en` or `pt-br`."""
    return value.isascii() and 2 <= len(value) <= 5 and value.replace("-", "").isalpha()
