"""Counts what a worker does and says how far it is."""

import time
from collections import deque

from tasks.jobs.job import Progress

SPEED_WINDOW = 8.0
"""Seconds the shown speed looks back: shorter jumps about, longer lags behind."""


class Meter:
    """Counts one attempt at a job; `progress()` is the sum at any moment."""

    def __init__(self, chapters_total: int) -> None:
        self._chapters_total = chapters_total
        self._pages: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._pages_done = 0
        self._bytes = 0
        self._resumed_at = 0
        self._chapter = ""
        self._started = time.monotonic()
        self._share_before = 0.0
        self._arrivals: deque[tuple[float, int]] = deque()

    def chapter_opened(self, chapter: int, label: str, pages: int) -> None:
        """The page list of the chapter at that place is known; a chapter without pages counts as done."""
        self._pages[chapter] = pages
        self._settled[chapter] = 0
        self._chapter = label

    def page_kept(self, chapter: int, size: int) -> None:
        """An earlier attempt left this page on disk."""
        self.page_found(chapter, size)
        self._resumed_at += 1

    def page_found(self, chapter: int, size: int) -> None:
        """This page was on disk, as another job had it."""
        share = self._share()
        self._settled[chapter] += 1
        self._pages_done += 1
        self._bytes += size
        self._share_before += self._share() - share

    def page_arrived(self, chapter: int, size: int) -> None:
        self._settled[chapter] += 1
        self._pages_done += 1
        self._bytes += size
        self._arrivals.append((time.monotonic(), size))

    def page_missing(self, chapter: int) -> None:
        self._settled[chapter] += 1

    @property
    def chapter_bytes(self) -> float:
        """What a chapter took on average, of those that had pages."""
        return self._bytes / max(1, sum(1 for pages in self._pages.values() if pages))

    def progress(self) -> Progress:
        """How far the job is now."""
        share = self._share()
        return Progress(
            chapters_done=sum(1 for chapter, pages in self._pages.items() if self._settled[chapter] >= pages),
            chapters_total=self._chapters_total,
            chapter=self._chapter,
            pages_done=self._pages_done,
            pages_total=sum(self._pages.values()),
            all_listed=len(self._pages) == self._chapters_total,
            bytes=self._bytes,
            percent=int(100 * share),
            bytes_per_second=self._speed(),
            seconds_left=self._seconds_left(share),
            resumed_at=self._resumed_at,
        )

    def _share(self) -> float:
        settled = sum(self._settled[chapter] / pages if pages else 1 for chapter, pages in self._pages.items())
        return settled / self._chapters_total

    def _speed(self) -> int:
        now = time.monotonic()
        while self._arrivals and now - self._arrivals[0][0] > SPEED_WINDOW:
            self._arrivals.popleft()
        span = max(1.0, min(SPEED_WINDOW, now - self._started))
        return int(sum(size for _, size in self._arrivals) / span)

    def _seconds_left(self, share: float) -> int | None:
        done_now = share - self._share_before
        if done_now <= 0.02:  # too little to guess from
            return None
        return int((time.monotonic() - self._started) * (1 - share) / done_now)
