"""A job: one request on its way to files. The record in Redis is the truth about it; this is its shape.

queued ──▶ downloading ──▶ packing ──▶ ready ──▶ collected
  ▲ ╰───────────╮╰────────────╮╰───────────────▶ failed
  ╰── worker lost or stopped ─╯      any but an ended one ──▶ cancelled

Records outlive releases, and while the processes are restarted one by one two releases read what the other writes:

* What is unknown is passed over, what is missing has a default. So a field may come at any time; one that the release before
  reads may not go, nor mean something else.
* Where that is not enough `VERSION` is raised. A record says which one it was written in; one that does not is of version 1.
* What is newer than `VERSION`, older than `OLDEST` or in a shape that can't be read is refused with `OtherVersion`: the job
  ends and the person is told to ask again. Nobody tries twice, and nobody else's job is touched by it.

Workers are restarted before the bot, so that no older one meets a newer record. `tests/samples/records` holds what earlier
releases wrote.
"""

from enum import StrEnum

from pydantic import Field

from tasks.errors import NothingDownloaded, TimeIsUp
from tasks.models import Chapter, DownloadRequest, Value

VERSION = 1
"""Of the records of jobs and of who waits for them."""
OLDEST = 1


def is_readable(version: int) -> bool:
    """Whether this release understands records of that version."""
    return OLDEST <= version <= VERSION


class JobState(StrEnum):
    QUEUED = "queued"
    DOWNLOADING = "downloading"
    PACKING = "packing"
    READY = "ready"
    """The files are in the storage and wait to be sent."""
    COLLECTED = "collected"
    """The files went where they were wanted and are removed or about to be."""
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """A worker still has something to do for it."""
        return self in {JobState.QUEUED, JobState.DOWNLOADING, JobState.PACKING}


class Progress(Value):
    """How far a job is. `percent` counts chapters evenly, each by its pages, as their number is known one by one."""

    chapters_done: int = 0
    chapters_total: int = 0
    chapter: str = ""
    """Label of the chapter whose pages arrive now."""
    pages_done: int = 0
    pages_total: int = 0
    """Pages of the chapters whose page lists are known by now."""
    all_listed: bool = False
    """The page lists of all chapters are known: `pages_total` grows no more."""
    bytes: int = 0
    percent: int = 0
    bytes_per_second: int = 0
    seconds_left: int | None = None
    resumed_at: int = 0
    """Pages that an earlier attempt left on disk; 0 = started from nothing."""


class Failure(Value):
    """Why something was not had: an error's `code` and `detail`."""

    code: str
    detail: dict[str, str | int] = Field(default_factory=dict)


class Missing(Value):
    """What a chapter lacks. `pages` count from 1; none named = the whole chapter."""

    chapter_id: str
    chapter: str
    pages: tuple[int, ...] = ()
    failure: Failure


class ArchiveFile(Value):
    """One finished file of a job, and what is inside. `tasks.storage` opens it."""

    name: str
    size: int
    stored: str = Field(default="", exclude_if=lambda stored: not stored)
    """Where it is in the bucket, below the job's id; empty = in the job's folder, under its name."""
    chapters: tuple[str, ...]
    pages: int


class Result(Value):
    """What a job came to; `saved` is how many bytes smaller its pages were made."""

    files: tuple[ArchiveFile, ...]
    missing: tuple[Missing, ...] = ()
    saved: int = 0

    @property
    def pages(self) -> int:
        return sum(file.pages for file in self.files)


class Job(Value):
    """A job's record. Times are Unix seconds."""

    version: int = VERSION
    id: str
    state: JobState
    request: DownloadRequest
    requester: str
    """Who counts it against their quota, such as `telegram:42`."""
    key: str
    attempt: int
    """How often it was sent to the queue because it was lost, and once."""
    fence: int
    tries: int = 0
    """Workers that took it and did not give it back in good order."""
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    progress: Progress = Progress()
    result: Result | None = None
    error: Failure | None = None
    cancelled_by: str | None = None

    @property
    def lacking(self) -> tuple[Chapter, ...]:
        """Chapters that its source did not give whole, where another one might."""
        if self.error:
            return self.request.chapters if self.error.code == NothingDownloaded.code else ()
        withheld = self.result.missing if self.result else ()
        ids = {one.chapter_id for one in withheld if one.failure.code != TimeIsUp.code}
        return tuple(chapter for chapter in self.request.chapters if chapter.id in ids)

    def missing_request(self) -> DownloadRequest | None:
        """What fetches the rest: chapters nothing was had of, and the missing pages of others; None = nothing is missing."""
        if not self.result or not self.result.missing:
            return None
        pages: dict[str, tuple[int, ...]] = {}
        for one in self.result.missing:
            pages[one.chapter_id] = tuple(sorted({*pages.get(one.chapter_id, ()), *one.pages}))
        return self.request.model_copy(
            update={
                "chapters": tuple(chapter for chapter in self.request.chapters if chapter.id in pages),
                "only": {chapter: numbers for chapter, numbers in pages.items() if numbers},
            }
        )
