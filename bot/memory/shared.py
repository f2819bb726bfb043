"""What was delivered and can be sent again from Telegram's own copy, and the words that links and buttons carry for it.

The words are opaque and expire; no id of a person is in them or behind them.

Keys
    manhwa:bot:files:<request key>   hash: number of the file -> JSON of a `SentFile`; `total`; `whole` if nothing is missing
    manhwa:bot:file:<token>          `<request key>:<number>`: the file that a `Share` button or a link means
    manhwa:bot:again:<chat>:<msg>:<request key>:<number>   there for a while: Telegram's copy of that file went there
    manhwa:bot:title:<token>         JSON of a `Manga`: the title that a link means
    manhwa:bot:selection:<token>     JSON of a `Selection`: the chapters that a link means
    manhwa:bot:errand:<token>        JSON of an `Errand`: a title that is picked from in private, for a group
"""

import hashlib
import secrets
from typing import Any, cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.destination import Destination
from bot.memory.reading import remembered
from tasks.jobs.job import ArchiveFile, Job, Missing
from tasks.models import Chapter, Manga, Value

KEY = "manhwa:bot"
KEEP_SECONDS = 30 * 24 * 3600
"""From the last time it was of use."""
ERRAND_SECONDS = 24 * 3600
AGAIN_SECONDS = 600
"""Longer than a bot takes to come back that was killed over sending it."""


class SentFile(Value):
    """A file that Telegram has under its `file_id` for this bot: the `number`th of `total` that answer to a request."""

    file_id: str
    title: str
    file: ArchiveFile
    number: int
    total: int
    missing: tuple[Missing, ...] = ()
    groups: tuple[str, ...] = ()
    source: str = ""


class Selection(Value):
    """Chapters of a title."""

    manga: Manga
    chapters: tuple[Chapter, ...]


class Errand(Value):
    """A title, and where what somebody picks of it is to go."""

    manga: Manga
    destination: Destination


SENT_FILE = TypeAdapter(SentFile)
SELECTION = TypeAdapter(Selection)
ERRAND = TypeAdapter(Errand)
MANGA = TypeAdapter(Manga)


class Shared:
    """Keeps what can be shared."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def new_token(self, request_key: str, number: int) -> str:
        """A word for the request's file of that number, which is about to be sent."""
        token = secrets.token_urlsafe(12)
        await self._redis.set(f"{KEY}:file:{token}", f"{request_key}:{number}", ex=KEEP_SECONDS)
        return token

    async def may_send_again(self, request_key: str, number: int, to: Destination) -> bool:
        """Whether Telegram's copy of the request's file of that number may go out now as an answer to that message.

        From then on it may not for `AGAIN_SECONDS`.
        """
        return bool(await self._redis.set(_again(request_key, number, to), "1", nx=True, ex=AGAIN_SECONDS))

    async def went_again(self, request_key: str, number: int, to: Destination) -> bool:
        """Whether it went out a while ago."""
        return bool(await self._redis.exists(_again(request_key, number, to)))

    async def note(self, job: Job, number: int, file: SentFile) -> None:
        """Telegram has the job's file of that number."""
        key, result = f"{KEY}:files:{job.request.key}", job.result
        whole = bool(result and not result.missing)
        fields: dict[Any, Any] = {"total": len(result.files) if result else 0, "whole": int(whole)}
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping=fields | {str(number): file.model_dump_json()})
            pipeline.expire(key, KEEP_SECONDS)
            await pipeline.execute()

    async def copy_of(self, job: Job, number: int) -> SentFile | None:
        """The job's file of that number, if Telegram has the very same one."""
        text = cast("str | None", await self._redis.hget(f"{KEY}:files:{job.request.key}", str(number)))
        found, result = remembered(SENT_FILE, text), job.result
        if found is None or result is None:
            return None
        same = (found.file, found.total, found.missing) == (result.files[number - 1], len(result.files), result.missing)
        return found if same else None

    async def whole(self, request_key: str) -> list[SentFile]:
        """All files of a request that nothing was missing of; none where Telegram does not have them all."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{KEY}:files:{request_key}"))
        numbers = [str(number) for number in range(1, int(fields.get("total", 0)) + 1)]
        if fields.get("whole") != "1" or not all(number in fields for number in numbers):
            return []
        await self._redis.expire(f"{KEY}:files:{request_key}", KEEP_SECONDS)
        files = [remembered(SENT_FILE, fields[number]) for number in numbers]
        return [file for file in files if file] if all(files) else []

    async def forget(self, request_key: str) -> None:
        """Telegram does not have its files any more."""
        await self._redis.delete(f"{KEY}:files:{request_key}")

    async def file(self, token: str) -> SentFile | None:
        """The file behind the word, if Telegram has it."""
        meant = cast("str | None", await self._redis.get(f"{KEY}:file:{token}"))
        if meant is None:
            return None
        request_key, _, number = meant.rpartition(":")
        found = cast("str | None", await self._redis.hget(f"{KEY}:files:{request_key}", number))
        return remembered(SENT_FILE, found)

    async def remember_selection(self, selection: Selection) -> str:
        """The word for these chapters, which works from now on: always the same one."""
        text = selection.model_dump_json()
        token = hashlib.sha256(text.encode()).hexdigest()[:24]
        await self._redis.set(f"{KEY}:selection:{token}", text, ex=KEEP_SECONDS)
        return token

    async def selection(self, token: str) -> Selection | None:
        """The chapters behind the word."""
        found = cast("str | None", await self._redis.get(f"{KEY}:selection:{token}"))
        return remembered(SELECTION, found)

    async def new_errand(self, errand: Errand) -> str:
        """A word for picking in private, for a day."""
        token = secrets.token_urlsafe(12)
        await self._redis.set(f"{KEY}:errand:{token}", errand.model_dump_json(), ex=ERRAND_SECONDS)
        return token

    async def errand(self, token: str) -> Errand | None:
        """What is to be picked for whom."""
        found = cast("str | None", await self._redis.get(f"{KEY}:errand:{token}"))
        return remembered(ERRAND, found)

    async def remember_title(self, manga: Manga) -> str:
        """The word for a title, which works from now on."""
        token = manga.key
        await self._redis.set(f"{KEY}:title:{token}", manga.model_dump_json(), ex=KEEP_SECONDS)
        return token

    async def title(self, token: str) -> Manga | None:
        """The title behind the word, as it was when it was remembered."""
        found = cast("str | None", await self._redis.get(f"{KEY}:title:{token}"))
        return remembered(MANGA, found)


def _again(request_key: str, number: int, to: Destination) -> str:
    return f"{KEY}:again:{to.chat_id}:{to.asked_in}:{request_key}:{number}"
