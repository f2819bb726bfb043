"""What the web API answers, and what it answers when something is wrong."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel
from redis.exceptions import RedisError

from bot.texts import sentence
from tasks.errors import (
    GuestLimit,
    ManhwaError,
    NoChapters,
    NoPages,
    NotFound,
    RequestError,
    SourceError,
    TooManyChapters,
    TooManyJobs,
    UnknownSource,
)
from tasks.models import Value

STATUS: Mapping[type[ManhwaError], HTTPStatus] = {
    UnknownSource: HTTPStatus.NOT_FOUND,
    NotFound: HTTPStatus.NOT_FOUND,
    NoPages: HTTPStatus.NOT_FOUND,
    NoChapters: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyChapters: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyJobs: HTTPStatus.TOO_MANY_REQUESTS,
    GuestLimit: HTTPStatus.SERVICE_UNAVAILABLE,
    SourceError: HTTPStatus.SERVICE_UNAVAILABLE,
    RequestError: HTTPStatus.BAD_REQUEST,
}
"""The first that an error is one of decides."""

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'",
    "Referrer-Policy": "no-referrer",
    "Server": "manhwa",
}
"""Headers of every answer: nothing of it is ever run as a page of ours."""


class Problem(Value):
    """What went wrong: a stable code for programs, and a sentence for people."""

    error: str
    message: str


class Refused(Exception):
    """The request ends with this answer."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(error=code, message=message)
        self.headers = dict(headers or {})

    def answer(self) -> web.Response:
        """This as an answer."""
        return answer(self.problem, self.status, self.headers)


def answer(value: BaseModel, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> web.Response:
    """The value as JSON, which nobody may keep."""
    return web.Response(
        text=value.model_dump_json(),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def refusal(error: Exception) -> web.Response | None:
    """The answer to a request that ended with this error; None where it is no error that anybody foresaw."""
    if isinstance(error, web.HTTPException) and error.status < HTTPStatus.BAD_REQUEST:
        return error
    refused = _refused(error)
    return refused.answer() if refused else None


def _refused(error: Exception) -> Refused | None:
    match error:
        case Refused():
            return error
        case web.HTTPException():
            return _of_http(error)
        case ManhwaError():
            return _of(error)
        case RedisError():
            why = "The service can't reach its memory right now. Try again in a moment."
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, "redis_down", why, {"Retry-After": "5"})
    return None


def _of_http(error: web.HTTPException) -> Refused:
    match error:
        case web.HTTPRequestEntityTooLarge():
            return Refused(error.status, "too_large", "The body of the request is too large.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            why = f"{error.method} is not possible here; {allowed} is."
            return Refused(error.status, "method_not_allowed", why, {"Allow": allowed})
        case web.HTTPNotFound():
            return Refused(
                error.status, "not_found", "There is nothing at this address. /api/docs lists what there is."
            )
    return Refused(error.status, "bad_request", f"{error.reason}.")


def _of(error: ManhwaError) -> Refused | None:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, UnknownSource):
        # In the chat it is a command that lists them.
        why = f"There is no source “{error.detail['source']}”. /api/sources lists them."
        return Refused(status, error.code, why)
    seconds = error.detail.get("seconds")
    headers = {"Retry-After": str(seconds)} if seconds and status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Refused(status, error.code, sentence(error.code, error.detail), headers)
