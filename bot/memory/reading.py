"""Reads what a release before or after this one may have written; the rule stands in `tasks.jobs.job`.

What is only remembered has no version: where its meaning changes its key gets another name, and what can't be read counts as
not there.
"""

import logging
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def remembered(kind: TypeAdapter[T], text: str | None) -> T | None:
    """The value that was written as JSON; None where there is none that this release can read."""
    if text is None:
        return None
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        log.warning("what was remembered can't be read: %s", _told(error))
        return None


def fields_remembered(kind: type[M], fields: dict[str, Any]) -> M:
    """The value whose fields were written one by one, all with defaults; those that this release can't read are left out."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        log.warning("what was remembered can't be read: %s", _told(error))
        wrong = {one["loc"][0] for one in error.errors()}
        return kind.model_validate({name: value for name, value in fields.items() if name not in wrong})


def _told(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{error.title}, {'.'.join(map(str, first['loc']))}: {first['msg']}"
