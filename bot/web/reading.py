"""Reads what was asked: from JSON, a form or the query, into a model."""

import asyncio
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, TypeVar, get_origin

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from bot.web.answers import Refused

MOST_IDS = 2000
LARGEST_BODY = 2 << 20
"""Bytes: so many chapter ids of the greatest length, and what stands between them."""
MOST_FIELDS = MOST_IDS + 100
"""Of a form."""
BODY_SECONDS = 10.0
BROKEN = (web.RequestPayloadError, HttpProcessingError)
"""What aiohttp raises for a body that is not encoded as its headers say."""

M = TypeVar("M", bound=BaseModel)


async def read(request: web.Request, kind: type[M]) -> M:
    """What stands in the query, or in the body, which comes before it. Raises `Refused`."""
    given = _fields(request.query, kind) | await _body(request, kind)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", _in_one_line(error)) from None


async def _body(request: web.Request, kind: type[BaseModel]) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if request.content_type == "application/json":
                return _json(await request.read())
            if request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
                return _fields(await request.post(), kind)
    except TimeoutError:
        raise _bad(f"The body did not come within {BODY_SECONDS:.0f} seconds.") from None
    # RuntimeError: what a part of a form says of itself.
    except (*BROKEN, ValueError, LookupError, RuntimeError):
        raise _bad("The body can't be read: it is not what its Content-Type says.") from None
    raise _bad("Send JSON (Content-Type: application/json) or a form.")


def _bad(why: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "bad_request", why)


def _json(body: bytes) -> dict[str, Any]:
    found = json.loads(body, object_pairs_hook=_once, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise _bad("The body has to be a JSON object.")
    return found


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _bad(f"{name[:60]!r} stands there twice.")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _fields(given: MultiMapping[Any], kind: type[BaseModel]) -> dict[str, Any]:
    """The fields of a form or query; a field for several values may have `[]` behind its name, as PHP and jQuery write it."""
    found: dict[str, Any] = {}
    several = {name for name, field in kind.model_fields.items() if get_origin(field.annotation) in {list, tuple}}
    for key in dict.fromkeys(given):
        name = key.removesuffix("[]")
        values = given.getall(key)
        if name in several:
            found[name] = [*found.get(name, []), *values]
        elif len(values) > 1:
            raise _bad(f"{name[:60]!r} stands there twice.")
        else:
            found[key] = values[0]
    return found


def _in_one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    # Without what pydantic calls the choices that a field has.
    where = ".".join(str(part) for at, part in enumerate(first["loc"][:2]) if at == 0 or isinstance(part, int))[:60]
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}." if where else f"{reason}."
