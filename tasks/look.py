"""Looks for new chapters of followed titles, all sources beside each other, within what they allow.

What is taken to be looked at comes back if its worker is killed; what is found twice is news once (`tasks.titles`).
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from tasks.errors import SourceBusy, SourceDown, SourceError, SourceFailed, SourcePaused
from tasks.logs import about
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tasks.titles.schedule import early, interval, next_look
from tasks.titles.store import TitleStore
from tasks.titles.title import Title

log = logging.getLogger(__name__)

ROUND_SECONDS = 20.0
"""A round takes no further titles after that: the worker has other things to do as well."""
LOOK_SECONDS = 30.0
"""For one answer, all tries included."""
TAKEN_SECONDS = 120.0
"""A title that was taken and not looked at by then is due again."""
AT_A_TIME = 4
SILENT = (SourceDown, SourceBusy, SourcePaused, TimeoutError)
"""It is no use to ask for other titles then."""
WHOLE_SECONDS = 24 * 3600.0
"""So often a title's list is read whatever its mark says."""


async def look(settings: TaskSettings) -> int:
    """Look at what is due, for a while; how many new chapters were found."""
    async with open_redis(settings.redis_url) as redis, open_sources(settings, redis) as sources:
        titles = TitleStore(redis)
        followed = {source.name: await titles.count(source.name) for source in sources.all()}
        seconds = settings.look_interval
        rounds = [
            _Round(source, titles, seconds, interval(followed[source.name], seconds, _at_once(source))).run()
            for source in sources.all()
            if followed[source.name]
        ]
        return sum(await asyncio.gather(*rounds))


def _at_once(source: Source) -> int:
    """How many titles one request tells of; to look into a folder is none."""
    return 1_000_000 if source.is_local else source.at_once


@dataclass
class _Round:
    """Titles of one source, each looked at `every` so many seconds; `seconds` is LOOK_INTERVAL."""

    source: Source
    titles: TitleStore
    seconds: float
    every: float

    async def run(self) -> int:
        begun, found = time.monotonic(), 0
        with about(source=self.source.name):
            while time.monotonic() - begun < ROUND_SECONDS and (keys := await self._take()):
                records = [(key, record) for key in keys if (record := await self.titles.read(key))]
                marks = await self._marks(keys, [record.manga.id for _, record in records])
                if marks is None:
                    return found
                looks = [self._look(key, record, marks.get(record.manga.id, "")) for key, record in records]
                ends = await asyncio.gather(*looks)
                found += sum(end for end in ends if end)
                if None in ends:
                    return found  # it does not answer now
        return found

    async def _take(self) -> list[str]:
        now = time.time()
        by = early(now, self.seconds)
        if not self.source.at_once:
            return await self.titles.take(self.source.name, by, now + TAKEN_SECONDS, AT_A_TIME, by)
        # The more are asked for together, the fewer are the requests.
        soon = max(by, now + self.every / 2)
        return await self.titles.take(self.source.name, by, now + TAKEN_SECONDS, self.source.at_once, soon)

    async def _marks(self, keys: Sequence[str], ids: Sequence[str]) -> dict[str, str] | None:
        """What the source tells of many at once; None = nothing, and that is noted."""
        if not self.source.at_once or not ids:
            return {}
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return dict(await self.source.marks(ids))
        except RedisError:
            raise
        except (SourceError, TimeoutError) as error:
            await self._note_failure(keys, error)
        except Exception:
            log.exception("a look at titles failed")
            await self._note_failure(keys, SourceFailed())
        return None

    async def _look(self, key: str, title: Title, mark: str) -> int | None:
        """How many new chapters there are; None = the source does not answer."""
        now = time.time()
        before = title.mark if now - title.whole_at < WHOLE_SECONDS else ""
        try:
            if mark and mark == before:
                await self.titles.same(key, now, self._next(key, title, now))
                return 0
            async with asyncio.timeout(LOOK_SECONDS):
                listing = await self.source.look(title.manga.id, before)
        except (SourceError, TimeoutError) as error:
            is_silent = isinstance(error, SILENT)
            await self._note_failure([key], error, 0 if is_silent else title.failures + 1)
            return None if is_silent else 0
        except RedisError:
            raise
        except Exception:
            log.exception("a look at a title failed")
            await self._note_failure([key], SourceFailed(), title.failures + 1)
            return 0
        due = self._next(key, title, now)
        if listing.chapters is None:
            await self.titles.same(key, now, due)
            return 0
        found = await self.titles.found(key, listing.chapters, mark or listing.mark, now, due)
        if found > 0:
            log.info("%s new chapters of a title", found)
        return max(0, found)

    def _next(self, key: str, title: Title, now: float) -> float:
        # Those that are asked for together stay together.
        looked_at = now if self.source.at_once else title.looked_at
        return next_look(key, now, self.every, looked_at)

    async def _note_failure(self, keys: Iterable[str], error: SourceError | TimeoutError, failures: int = 0) -> None:
        """`failures` are those of the title in a row, with this one; 0 = the source is to blame.

        Then its titles need not wait longer once it is back.
        """
        code = error.code if isinstance(error, SourceError) else SourceDown.code
        log.info("titles could not be looked at: %s", code)
        now = time.time()
        for key in keys:
            due = next_look(key, now, self.every, now, failures)
            await self.titles.failed(key, now, due, code, counts=failures > 0)
