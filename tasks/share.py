"""One job's dealings with the others over chapters: what one of them has or just downloads is not downloaded again."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from tasks.archives.parts import PageFile
from tasks.cache import ChapterCache, cache_key
from tasks.jobs.chapter_leases import ChapterLeases
from tasks.models import Chapter, DownloadRequest
from tasks.page_folder import PageFolder

log = logging.getLogger(__name__)


class Share:
    """Takes chapters over, and hands them on. Raises redis errors."""

    def __init__(self, request: DownloadRequest, cache: ChapterCache, leases: ChapterLeases) -> None:
        self._request = request
        self._cache = cache
        self._leases = leases
        self._handing_on: set[asyncio.Task[None]] = set()

    async def claim(self, chapter: Chapter) -> bool:
        """Whether this job may download the chapter now; False = another one does."""
        return await self._leases.take(self._key(chapter))

    async def take(self, chapter: Chapter, folder: PageFolder) -> dict[int, PageFile] | None:
        """The pages of a chapter that another job downloaded, by number, now in that folder of this job; None = not there."""
        return await asyncio.to_thread(self._cache.take, self._key(chapter), folder)

    async def release(self, chapter: Chapter) -> None:
        """This job does not download the chapter, or not all of it could be had."""
        await self._leases.release(self._key(chapter))

    def hand_on(self, chapter: Chapter, pages: Sequence[PageFile]) -> None:
        """All pages of the chapter are there, in this order: others may have them. This job need not wait for that."""
        task = asyncio.create_task(self._hand_on(chapter, pages))
        self._handing_on.add(task)
        task.add_done_callback(self._handing_on.discard)

    async def _hand_on(self, chapter: Chapter, pages: Sequence[PageFile]) -> None:
        try:
            await asyncio.to_thread(self._cache.keep, self._key(chapter), pages)
        except OSError as error:
            log.warning("a chapter could not be kept for others: %s", error)
        with suppress(RedisError):  # the lease runs out by itself
            await self.release(chapter)

    async def close(self) -> None:
        """Wait until everything is handed on, and let go of what is not."""
        await asyncio.gather(*self._handing_on, return_exceptions=True)
        await self._leases.release_all()

    def _key(self, chapter: Chapter) -> str:
        return cache_key(self._request.source, chapter, self._request.source_quality)
