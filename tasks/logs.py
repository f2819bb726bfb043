"""What processes say: a line for each record, as text or JSON, with what it is about at its end and no secret in it.

Whoever begins something says what it is about, once: `about(job=…)` for the length of a block, `begin(job=…)` for the rest of a
task of the event loop. Every line that comes out of it then says so, whichever library wrote it.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import stamina.instrumentation
from pydantic import BaseModel, SecretStr
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, merge_contextvars
from structlog.processors import format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from tasks.settings import TaskSettings

log = logging.getLogger(__name__)

about = bound_contextvars
"""A context manager: lines of the block are about these, beside what was said before."""

HIDDEN = "***"
SHORTEST = 4
"""Characters; a shorter secret can't be told from words, and stays hidden only where its place says what it is."""
LOOKS_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{16,}")
"""In an address that may hold a key. Kavita's have one in the path."""
PLACES = r"(?<=//)[^/\s@'\"]+(?=@)|(?<=bot)\d+:[\w-]{10,}|\b\d{6,}:[\w-]{30,}|(?<=Bearer )\S{8,}|(?<=Basic )\S{12,}"
"""Where a secret stands, known or not: before a host, and behind `bot` in the addresses of the Bot API."""
SUBJECTS = ("job", "chat", "source")
FIRST = ("time", "level", "process", "logger", "event", "exception")


def begin(**fields: object) -> None:
    """What follows in this task of the event loop is about these, and about nothing that was said before."""
    clear_contextvars()
    bind_contextvars(**fields)


def set_up(process: str, settings: TaskSettings, level: int | None = None) -> None:
    """Let this process say what it has to say to stderr; `level` goes before LOG_LEVEL."""
    render = _as_json if settings.log_format == "json" else _as_text
    before: list[Processor] = [merge_contextvars]
    after: list[Processor] = [_described(process), format_exc_info, Redactor(secrets_of(settings)), render]
    handler = _Lines(sys.stderr)
    handler.setFormatter(ProcessorFormatter(processors=after, foreign_pre_chain=before))
    logging.basicConfig(level=level or settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request is too much
    # It finds structlog by itself and writes past us, in its own form and with whatever the error holds.
    stamina.instrumentation.set_on_retry_hooks([])
    sys.excepthook = _say_uncaught
    threading.excepthook = lambda said: _say_uncaught(said.exc_type, said.exc_value, said.exc_traceback)


class _Lines(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name it has in the standard library
        """Python's own answer prints the arguments as they are."""
        with suppress(OSError, ValueError):
            sys.stderr.write(f"a line of {record.name}, {record.filename}:{record.lineno}, could not be written\n")


def _say_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("ended by an error", exc_info=(kind, error or kind(), trace))


def _described(process: str) -> Processor:
    def describe(_: object, __: str, said: EventDict) -> EventDict:
        record: logging.LogRecord = said.pop("_record")
        del said["_from_structlog"]
        return {**said, "time": record.created, "level": record.levelname, "process": process, "logger": record.name}

    return describe


class Redactor:
    """Hides secrets in all texts of a line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {form for one in secrets for form in (one, quote(one, safe="")) if len(one) >= SHORTEST}
        self._pattern = re.compile("|".join([*map(re.escape, sorted(known, key=len, reverse=True)), PLACES]))

    def __call__(self, _: object, __: str, said: EventDict) -> EventDict:
        return {name: self.hide(value) if isinstance(value, str) else value for name, value in said.items()}

    def hide(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text)


def secrets_of(settings: TaskSettings) -> set[str]:
    """Every secret in the settings; of an address what may be one: the address, its password and keys."""
    return {part for secret in _secrets(settings) for part in _parts(secret.get_secret_value())}


def _secrets(value: object) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, BaseModel):
        for _, field in value:
            yield from _secrets(field)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _secrets(one)


def _parts(secret: str) -> Iterator[str]:
    if "://" not in secret:
        yield secret
        yield from (part for part in secret.split(":") if LOOKS_LIKE_A_KEY.fullmatch(part))  # a bot's token
        return
    for part in secret.split(";"):  # each Sentinel has an address, and any of them may have what holds for all
        address = urlsplit(part)
        if address.password:
            yield from (secret, part, address.password, unquote(address.password))
        yield from LOOKS_LIKE_A_KEY.findall(address.path)
        for name, value in parse_qsl(address.query):
            if name.endswith("password") or LOOKS_LIKE_A_KEY.fullmatch(value):
                yield value


def _as_json(_: object, __: str, said: EventDict) -> str:
    time_, message = cast("float", said.pop("time")), said.pop("event")
    moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time_))}.{int(time_ % 1 * 1000):03}Z"
    # What is not ASCII is escaped: no control character of anybody's text reaches a terminal.
    return json.dumps({"time": moment, "message": message, **said}, default=str)


def _as_text(_: object, __: str, said: EventDict) -> str:
    time_, level, process, logger, event, exception = (said.pop(name, "") for name in FIRST)
    moment = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(time_))},{int(time_ % 1 * 1000):03}"
    names = [*(name for name in SUBJECTS if name in said), *(name for name in said if name not in SUBJECTS)]
    fields = "".join(f" {name}={said[name]}" for name in names)
    cause = f" | {exception}" if exception else ""
    return _in_one_line(f"{moment} {level} {process} {logger}: {event}{fields}{cause}")


def _in_one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
