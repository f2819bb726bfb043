"""Looks for new chapters of followed titles, all sources beside each other, within what they allow.

What is taken to be looked at comes back if its worker is killed; what is found twice is news once (`tasks.titles`).
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.errors import SourceBusy, SourceDown, SourceError, SourceFailed, SourcePaused
from tasks.logs import about
from tasks.resources import open_redis
from tasks.settings import TaskSettings
from tasks.sources.registry import open_sources
from tasks.sources.source import Source
from tasks.titles.schedule import interval, next_look
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
        rounds = [
            _Round(source, titles, interval(followed[source.name], settings.look_interval, _at_once(source))).run()
            for source in sources.all()
            if followed[source.name]
        ]
        return sum(await asyncio.gather(*rounds))


def _at_once(source: Source) -> int:
    """How many titles one request tells of; to look into a folder is none."""
    return 1_000_000 if source.is_local else source.at_once


@dataclass
class _Round:
    """Titles of one source, each looked at `every` so many seconds."""

    source: Source
    titles: TitleStore
    every: float

    async def run(self) -> int:
        begun, found = time.monotonic(), 0
        with about(source=self.source.name):
            while time.monotonic() - begun < ROUND_SECONDS and (keys := await self._take()):
                records = [(key, record) for key in keys if (record := await self.titles.read(key))]
                try:
                    marks = await self._marks([record.manga.id for _, record in records])
                except (SourceError, TimeoutError) as error:
                    await self._note_failure(keys, error)
                    return found
                looks = [self._look(key, record, marks.get(record.manga.id, "")) for key, record in records]
                ends = await asyncio.gather(*looks)
                found += sum(end for end in ends if end)
                if None in ends:
                    return found  # it does not answer now
        return found

    async def _take(self) -> list[str]:
        now = time.time()
        if self.source.at_once:
            # The more are asked for together, the fewer are the requests.
            return await self.titles.take(
                self.source.name, now, now + TAKEN_SECONDS, self.source.at_once, now + self.every / 2
            )
        return await self.titles.take(self.source.name, now, now + TAKEN_SECONDS, AT_A_TIME, now)

    async def _marks(self, ids: Sequence[str]) -> dict[str, str]:
        if not self.source.at_once or not ids:
            return {}
        async with asyncio.timeout(LOOK_SECONDS):
            return dict(await self.source.marks(ids))

    async def _look(self, key: str, title: Title, mark: str) -> int | None:
        """How many new chapters there are; None = the source does not answer."""
        now = time.time()
        is_same = mark and mark == title.mark and now - title.whole_at < WHOLE_SECONDS
        try:
            if is_same:
                await self.titles.same(key, now, self._next(key, title, now))
                return 0
            async with asyncio.timeout(LOOK_SECONDS):
                listing = await self.source.look(title.manga.id, title.mark)
        except (SourceError, TimeoutError) as error:
            await self._note_failure([key], error)
            return None if isinstance(error, SILENT) else 0
        except Exception:
            log.exception("a look at a title failed")
            await self._note_failure([key], SourceFailed())
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

    async def _note_failure(self, keys: Iterable[str], error: SourceError | TimeoutError) -> None:
        code = error.code if isinstance(error, SourceError) else SourceDown.code
        log.info("titles could not be looked at: %s", code)
        now = time.time()
        for key in keys:
            title = await self.titles.read(key)
            # Where the source is to blame, its titles need not wait longer once it is back.
            failures = title.failures + 1 if title and not isinstance(error, SILENT) else 0
            await self.titles.failed(key, now, next_look(key, now, self.every, now, failures), code)
