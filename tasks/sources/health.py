"""How sources do, from what they are really asked: one view for all processes. One that fails again and again is paused.

Keys
    manhwa:sources:asked:<name>      list of the last requests, newest first: "<time> <milliseconds> <code>", no code = answered
    manhwa:sources:answered:<name>   when it answered last
    manhwa:sources:failures:<name>   how often in a row it was down, or did not let itself be searched
    manhwa:sources:paused:<name>     while nobody searches there
"""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from redis.asyncio import Redis

from tasks.errors import SourceDown, SourceError, SourceFailed, SourcePaused, SourceRefuses
from tasks.models import NO_FILTERS, Filters, Link, Listing, MangaDetails, Page, Quality, SearchPage
from tasks.sources.source import Expect, Source, nothing

KEY = "manhwa:sources"
MOST_KEPT = 50
KEPT_SECONDS = 7 * 24 * 3600
PATIENCE = 5
"""So many failures in a row, and it is paused."""
FIRST_PAUSE = 30
LONGEST_PAUSE = 600
SLOW_SECONDS = 20.0
"""Who gives up waiting after this has met a source that does not answer."""
NOTE = """
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[4] == 'answered' then
  redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[3])
end
if ARGV[6] == '0' then
  redis.call('DEL', KEYS[3], KEYS[4])
  return 0
end
local failures = redis.call('INCR', KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
if failures >= tonumber(ARGV[7]) then
  local pause = math.min(ARGV[8] * 2 ^ math.min(failures - ARGV[7], 20), ARGV[9])
  redis.call('SET', KEYS[4], '1', 'EX', math.floor(pause))
end
return failures
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """A source's last requests: how many, how many of them were answered, the median of their seconds, and how it stands.

    `answered_at` is the time of the last answer, None = none is known; `failing` is the code of the last failure while
    nothing went well since, and `paused` the seconds for which nobody searches there.
    """

    requests: int = 0
    answered: int = 0
    seconds: float = 0.0
    answered_at: float | None = None
    failing: str | None = None
    paused: int = 0


class Health:
    """Notes how requests end, and tells."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._note = redis.register_script(NOTE)

    async def note(self, name: str, seconds: float, code: str = "", *, is_failure: bool = False) -> None:
        """A request took so long and ended with this error, or none. Failures in a row lead to a pause."""
        now = time.time()
        keys = [f"{KEY}:{what}:{name}" for what in ("asked", "answered", "failures", "paused")]
        entry = f"{now:.0f} {seconds * 1000:.0f} {code}".strip()
        answered = "failed" if code else "answered"
        limits = [PATIENCE, FIRST_PAUSE, LONGEST_PAUSE]
        await self._note(keys, [entry, MOST_KEPT, KEPT_SECONDS, answered, f"{now:.0f}", int(is_failure), *limits])

    async def pause(self, name: str) -> int:
        """For how many seconds nobody is to search there; 0 = it is not paused."""
        return max(0, int(await self._redis.ttl(f"{KEY}:paused:{name}")))

    async def report(self, name: str) -> Report:
        entries = cast("list[str]", await self._redis.lrange(f"{KEY}:asked:{name}", 0, -1))
        parts = [entry.split(" ") for entry in entries]
        codes = [one[2] if len(one) > 2 else "" for one in parts]
        answered_at = await self._redis.get(f"{KEY}:answered:{name}")
        failing = await self._redis.exists(f"{KEY}:failures:{name}")
        return Report(
            requests=len(parts),
            answered=codes.count(""),
            seconds=statistics.median([int(one[1]) for one in parts]) / 1000 if parts else 0.0,
            answered_at=float(answered_at) if answered_at else None,
            failing=next(filter(None, codes), SourceDown.code) if failing else None,
            paused=await self.pause(name),
        )


class Watched:
    """A source whose answers are noted; while it is paused, searches and looks end at once."""

    def __init__(self, source: Source, health: Health) -> None:
        self._source = source
        self._health = health

    @property
    def number(self) -> int:
        return self._source.number

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def has_smaller(self) -> bool:
        return self._source.has_smaller

    @property
    def is_local(self) -> bool:
        return self._source.is_local

    @property
    def at_once(self) -> int:
        return self._source.at_once

    async def search(self, query: str, page: int = 1, filters: Filters = NO_FILTERS, /) -> SearchPage:
        await self._refuse_while_paused()
        # Any text can be searched for: an error is the source's own, while one about an id may be the id's.
        return await self._watch(self._source.search(query, page, filters), (SourceDown, SourceFailed))

    async def details(self, manga_id: str) -> MangaDetails:
        return await self._watch(self._source.details(manga_id), (SourceDown,))

    async def marks(self, manga_ids: Sequence[str], /) -> Mapping[str, str]:
        await self._refuse_while_paused()
        return await self._watch(self._source.marks(manga_ids), (SourceDown,))

    async def look(self, manga_id: str, mark: str = "", /) -> Listing:
        await self._refuse_while_paused()
        return await self._watch(self._source.look(manga_id, mark), (SourceDown,))

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        return await self._source.locate(chapter_ids)

    async def pages(self, chapter_id: str, quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        return await self._watch(self._source.pages(chapter_id, quality), (SourceDown,))

    def read(self, page: Page, expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        return self._source.read(page, expect)

    def linked(self, address: str) -> Link | None:
        return self._source.linked(address)

    async def check(self) -> None:
        await self._source.check()

    async def _refuse_while_paused(self) -> None:
        if pause := await self._health.pause(self.name):
            if (await self._health.report(self.name)).failing == SourceRefuses.code:
                raise SourceRefuses(source=self.name)  # which nobody is helped by waiting for
            raise SourcePaused(source=self.name, seconds=pause)

    async def _watch(self, asking: Awaitable[T], failures: tuple[type[SourceError], ...]) -> T:
        started = time.monotonic()
        try:
            answer = await asking
        except SourceError as error:
            code = error.code if isinstance(error, SourceDown | SourceFailed) else ""
            await self._health.note(self.name, time.monotonic() - started, code, is_failure=isinstance(error, failures))
            raise
        except asyncio.CancelledError:
            if (waited := time.monotonic() - started) > SLOW_SECONDS:
                await self._health.note(self.name, waited, SourceDown.code, is_failure=True)
            raise
        await self._health.note(self.name, time.monotonic() - started)
        return answer
