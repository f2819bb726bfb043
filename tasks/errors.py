"""Everything that can go wrong on the way from a request to a file.

    ManhwaError
    ├── RequestError            the request cannot be taken as it is; nothing was started
    │   ├── UnknownSource       no source of that number or name is switched on
    │   ├── NoChapters          the request names no chapter
    │   ├── TooManyChapters     more chapters than MAX_CHAPTERS_PER_JOB
    │   └── TooManyJobs         the person has MAX_ACTIVE_JOBS_PER_USER jobs already
    ├── SourceError             a source did not give what it was asked for
    │   ├── SourceDown          not reached, timed out or overloaded: later may help
    │   │   ├── SourceBusy      it asks us to stay away for longer than anybody waits here
    │   │   ├── SourcePaused    it failed so often lately that it is not searched for a while
    │   │   └── SourceRefuses   it does not take the name and password, or the key, that the settings give it
    │   ├── SourceFailed        it answered, but with an error that does not say what is wrong
    │   ├── NotFound            it says that there is no such manga or chapter
    │   ├── GuestLimit          MangaDex gives no more chapters to those without an account
    │   └── NoPages             the chapter is listed, but the source hosts no pages of it
    ├── PageError               one page cannot be had; the other pages are not touched by it
    │   ├── PageGone            its address answers 4xx
    │   ├── PageRefused         its source does not take our login
    │   ├── PageUnreachable     its address does not answer, or only with 5xx: later may help
    │   ├── PageBroken          no image, cut short, or not decodable
    │   ├── PageTooLarge        more bytes or pixels than a page may have
    │   └── PageForbidden       its address is private, or no http address at all
    ├── StorageError            the store of finished files did not do what it was asked for
    │   ├── StorageDown         not reached, overloaded, or it refuses us
    │   └── FileGone            the file is not there any more
    └── JobError                the job as a whole ends here
        ├── NothingDownloaded   not one page of all chapters could be had
        ├── DiskFull            the disk ran full
        ├── NoRoom              it would not fit on the disk, so it was not started
        ├── TimeIsUp            it ran longer than TASK_TIME_LIMIT; also why pages are missing at TASK_SOFT_TIME_LIMIT
        ├── GaveUp              the last attempt allowed was lost with its worker
        ├── OtherVersion        its record was written by a release that this one does not understand
        ├── JobCancelled        somebody cancelled it
        ├── LeaseLost           another worker has the job; this one must write nothing more
        └── GaveWay             the job is back in the line, as others are to have their turn

An error carries a stable `code` and `detail`, the values its sentence needs. The code goes into records, manifests and
answers; the bot turns code and detail into words.
"""

from typing import ClassVar


class ManhwaError(Exception):
    """Base of all errors of the product; `str()` of it is for logs, `code` and `detail` for everything else."""

    code: ClassVar[str] = "error"
    retry_helps: ClassVar[bool] = False

    def __init__(self, message: str = "", /, **detail: str | int) -> None:
        super().__init__(message or self.code)
        self.detail: dict[str, str | int] = detail
        self.retry_after: float | None = None
        """Seconds the other side asked us to wait before the next try; None = it did not say."""


class RequestError(ManhwaError):
    code = "bad_request"


class UnknownSource(RequestError):
    code = "unknown_source"


class NoChapters(RequestError):
    code = "no_chapters"


class TooManyChapters(RequestError):
    code = "too_many_chapters"


class TooManyJobs(RequestError):
    code = "too_many_jobs"


class SourceError(ManhwaError):
    code = "source_error"


class SourceDown(SourceError):
    code = "source_down"
    retry_helps = True


class SourceBusy(SourceDown):
    code = "source_busy"
    retry_helps = False


class SourcePaused(SourceDown):
    code = "source_paused"
    retry_helps = False


class SourceRefuses(SourceDown):
    code = "source_refuses"
    retry_helps = False


class SourceFailed(SourceError):
    code = "source_failed"


class NotFound(SourceError):
    code = "not_found"


class GuestLimit(SourceError):
    code = "guest_limit"


class NoPages(SourceError):
    code = "no_pages"


class PageError(ManhwaError):
    code = "page_error"


class PageGone(PageError):
    code = "page_gone"


class PageRefused(PageError):
    code = "page_refused"


class PageUnreachable(PageError):
    code = "page_unreachable"
    retry_helps = True


class PageBroken(PageError):
    code = "page_broken"
    retry_helps = True


class PageTooLarge(PageError):
    code = "page_too_large"


class PageForbidden(PageError):
    code = "page_forbidden"


class StorageError(ManhwaError):
    code = "storage_error"


class StorageDown(StorageError):
    code = "storage_down"
    retry_helps = True


class FileGone(StorageError):
    code = "file_gone"


class JobError(ManhwaError):
    code = "job_error"


class NothingDownloaded(JobError):
    code = "nothing_downloaded"


class DiskFull(JobError):
    code = "disk_full"


class NoRoom(JobError):
    code = "no_room"


class TimeIsUp(JobError):
    code = "time_is_up"


class GaveUp(JobError):
    code = "gave_up"


class OtherVersion(JobError):
    code = "other_version"


class JobCancelled(JobError):
    code = "cancelled"


class LeaseLost(JobError):
    code = "lease_lost"


class GaveWay(JobError):
    code = "gave_way"
