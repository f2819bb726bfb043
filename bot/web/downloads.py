"""`/api/download`: ask for chapters, look how far they are, take it back."""

from http import HTTPStatus
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from bot.memory.preferences import Preferences
from bot.requests import locate, request_for
from bot.settings import NO_LIMIT
from bot.texts import failure_sentence
from bot.web.answers import Refused, answer
from bot.web.reading import MOST_IDS, read
from bot.web.routes import Asked, Route
from tasks.errors import OtherVersion
from tasks.jobs.job import Job, JobState
from tasks.models import ArchiveFormat, Id, Value
from tasks.workspace import JOB_ID

SourceName = Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")  # noqa: TRY004 - pydantic makes it an error of the field
    return value


Number = Annotated[int, Field(ge=0, le=10_000), BeforeValidator(_no_bool)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
CeleryState = Literal["PENDING", "PROGRESS", "SUCCESS", "FAILURE", "REVOKED"]
CELERY: dict[JobState, CeleryState] = {
    JobState.QUEUED: "PENDING",
    JobState.DOWNLOADING: "PROGRESS",
    JobState.PACKING: "PROGRESS",
    JobState.READY: "SUCCESS",
    JobState.COLLECTED: "SUCCESS",
    JobState.FAILED: "FAILURE",
    JobState.CANCELLED: "REVOKED",
}

MESSAGES = {
    JobState.QUEUED: "It waits for its turn.",
    JobState.DOWNLOADING: "Pages arrive.",
    JobState.PACKING: "The archive is being written.",
    JobState.READY: "The file is ready to be fetched.",
    JobState.COLLECTED: "The file was fetched and is gone. Ask again to have it made again.",
    JobState.FAILED: "It failed.",
    JobState.CANCELLED: "It was cancelled.",
}


class DownloadAsked(Value):
    """Chapters of one manga, by the ids that /api/chapters lists, and their source by number or name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["lantern-1", "lantern-2"], "source": "demo"}]}
    )

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)]
    source: Number | SourceName
    title: Title | None = None
    format: ArchiveFormat = ArchiveFormat.ZIP


class DownloadTaken(Value):
    """The job that does it; the same request again is the same job as long as that runs or its file waits."""

    task_id: str
    celery_task_id: str
    status: JobState
    message: str


class ApiFile(Value):
    """A finished archive. `url` is where it is fetched, with the token."""

    name: str
    size: int
    pages: int
    chapters: tuple[str, ...]
    url: str


class ApiMissing(Value):
    """What a chapter lacks: these pages, counted from 1, or all of it where none is named; and why."""

    chapter_id: str
    chapter: str
    pages: tuple[int, ...]
    error: str
    message: str


class DownloadStatus(Value):
    """How far a job is. `state` is Celery's word for it, `status` ours; `progress` is percent."""

    task_id: str
    celery_task_id: str
    state: CeleryState
    status: JobState
    message: str
    progress: Annotated[int, Field(ge=0, le=100)]
    source: str
    title: str
    format: ArchiveFormat
    total_chapters: int
    chapters_done: int
    pages_done: int
    pages_total: int
    bytes: int
    bytes_per_second: int
    seconds_left: int | None
    position: int | None
    files: tuple[ApiFile, ...]
    missing: tuple[ApiMissing, ...]
    error: str | None
    created_at: float
    ended_at: float | None


class DownloadCancelled(Value):
    """What became of the job: others may wait for it, and then it goes on for them."""

    task_id: str
    state: CeleryState
    status: JobState
    message: str


async def ask(asked: Asked) -> web.Response:
    wanted = await read(asked.http, DownloadAsked)
    rooms = asked.rooms
    located = await locate(str(wanted.source), wanted.ids, rooms.sources, rooms.settings)
    manga = located.manga.model_copy(update={"title": wanted.title} if wanted.title else {})
    request = request_for(manga, located.chapters, Preferences(format=wanted.format), rooms.settings)
    # One file, however large: who fetches it has no limit.
    submitted = await rooms.pickup.take(request.model_copy(update={"part_limit": NO_LIMIT}), asked.who)
    job = await known_job(asked, submitted.job_id)
    taken = DownloadTaken(
        task_id=job.id,
        celery_task_id=job.id,
        status=job.state,
        message="Somebody asked for the same before: this is that job." if submitted.joined else "It is in the queue.",
    )
    return answer(taken, HTTPStatus.ACCEPTED, {"Location": f"/api/download/status/{job.id}"})


async def tell(asked: Asked) -> web.Response:
    return answer(await status_of(asked, await asked_job(asked)))


async def cancel(asked: Asked) -> web.Response:
    job = await asked_job(asked)
    ended = await asked.rooms.pickup.cancel(job)
    now = await known_job(asked, job.id)
    if not ended and now.state in {JobState.FAILED, JobState.COLLECTED}:
        raise Refused(HTTPStatus.CONFLICT, "already_ended", f"It can't be cancelled any more: it is {now.state}.")
    message = "Cancelled." if now.state is JobState.CANCELLED else "Others wait for it, so it goes on for them."
    return answer(DownloadCancelled(task_id=job.id, state=CELERY[now.state], status=now.state, message=message))


async def asked_job(asked: Asked) -> Job:
    """The job that the path names. Raises `Refused`."""
    task_id = asked.http.match_info["task_id"]
    if not JOB_ID.fullmatch(task_id):
        raise unknown_task()
    return await known_job(asked, task_id)


async def known_job(asked: Asked, job_id: str) -> Job:
    """The job of that id. Raises `Refused`."""
    try:
        job = await asked.rooms.store.read(job_id)
    except OtherVersion:
        raise Refused(
            HTTPStatus.NOT_FOUND, OtherVersion.code, "It was asked for with another version of this service. Ask again."
        ) from None
    if job is None:
        raise unknown_task()
    return job


def unknown_task() -> Refused:
    return Refused(
        HTTPStatus.NOT_FOUND, "unknown_task", "There is no such task, or it was forgotten a week after its end."
    )


async def status_of(asked: Asked, job: Job) -> DownloadStatus:
    """What can be told of the job."""
    place = (await asked.rooms.store.line()).get(job.id) if job.state is JobState.QUEUED else None
    progress, is_done = job.progress, job.state in {JobState.READY, JobState.COLLECTED}
    return DownloadStatus(
        task_id=job.id,
        celery_task_id=job.id,
        state=CELERY[job.state],
        status=job.state,
        message=_message(job, place.position if place else None),
        progress=100 if is_done else progress.percent,
        source=job.request.source,
        title=job.request.title,
        format=job.request.format,
        total_chapters=len(job.request.chapters),
        chapters_done=len(job.request.chapters) if is_done else progress.chapters_done,
        pages_done=progress.pages_done,
        pages_total=progress.pages_total,
        bytes=progress.bytes,
        bytes_per_second=progress.bytes_per_second if job.state is JobState.DOWNLOADING else 0,
        seconds_left=progress.seconds_left if job.state.is_open else None,
        position=place.position if place else None,
        files=_files(asked, job),
        missing=_missing(job),
        error=job.error.code if job.error else None,
        created_at=job.created_at,
        ended_at=job.ended_at,
    )


def _files(asked: Asked, job: Job) -> tuple[ApiFile, ...]:
    if job.state is not JobState.READY or job.result is None:
        return ()
    base = asked.rooms.settings.public_url or f"{asked.http.scheme}://{asked.http.host}"
    url = f"{base}/api/download/file/{job.id}"
    return tuple(
        ApiFile(name=file.name, size=file.size, pages=file.pages, chapters=file.chapters, url=f"{url}?number={number}")
        for number, file in enumerate(job.result.files, start=1)
    )


def _missing(job: Job) -> tuple[ApiMissing, ...]:
    return tuple(
        ApiMissing(
            chapter_id=one.chapter_id,
            chapter=one.chapter,
            pages=one.pages,
            error=one.failure.code,
            message=failure_sentence(one.failure),
        )
        for one in (job.result.missing if job.result else ())
    )


def _message(job: Job, position: int | None) -> str:
    if job.error:
        return failure_sentence(job.error)
    if position:
        return f"It waits for its turn, at place {position}."
    return MESSAGES[job.state]


UNKNOWN_TASK = (HTTPStatus.NOT_FOUND,)
ROUTES = (
    Route(
        "POST",
        "/api/download",
        "Ask for chapters; they are downloaded by a job",
        ask,
        {HTTPStatus.ACCEPTED: DownloadTaken},
        (HTTPStatus.NOT_FOUND,),
        body=DownloadAsked,
        leads_to=("tell", "fetch", "cancel"),
    ),
    Route(
        "GET",
        "/api/download/status/{task_id}",
        "How far a job is",
        tell,
        {HTTPStatus.OK: DownloadStatus},
        UNKNOWN_TASK,
    ),
    Route(
        "DELETE",
        "/api/download/{task_id}",
        "Cancel a job",
        cancel,
        {HTTPStatus.OK: DownloadCancelled},
        (*UNKNOWN_TASK, HTTPStatus.CONFLICT),
    ),
)
