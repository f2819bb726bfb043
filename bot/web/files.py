"""Finished archives over HTTP: in pieces as well, to those who hold the token or a link."""

import asyncio
import fcntl
import logging
import os
import secrets
import socket
import termios
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import ConfigDict, Field
from redis.exceptions import RedisError

from bot.memory.fetches import FETCH_SECONDS
from bot.web.answers import SAFE, Refused
from bot.web.downloads import asked_job, known_job, unknown_task
from bot.web.reading import read
from bot.web.routes import Asked, Content, Rooms, Route
from tasks.errors import FileGone, StorageDown
from tasks.jobs.job import ArchiveFile, Job, JobState
from tasks.models import ArchiveFormat, Value
from tasks.storage import Storage

log = logging.getLogger(__name__)

CHUNK = 1 << 18
"""Bytes read at a time, and kept for each who fetches slowly."""
MOST_FETCHES = 64
"""That one process serves at a time."""
RENEW_SECONDS = FETCH_SECONDS / 3
LOOK_SECONDS = 0.05
CLOSED = 7
"""Linux's word for a connection that was reset; one that the other side closed after it had all is in another state."""
STUCK_SECONDS = 60.0
"""Who takes not one chunk for so long is given up."""
TYPES = {
    ArchiveFormat.ZIP: "application/zip",
    ArchiveFormat.CBZ: "application/vnd.comicbook+zip",
    ArchiveFormat.PDF: "application/pdf",
    ArchiveFormat.EPUB: "application/epub+zip",
}
BUSY = Refused(
    HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many files are fetched at once. Try again soon.", {"Retry-After": "10"}
)

STORAGE_DOWN = Refused(
    HTTPStatus.SERVICE_UNAVAILABLE, "storage_down", "The file can't be read now. Try again soon.", {"Retry-After": "30"}
)


class FileAsked(Value):
    """Which of the job's files; a job that was asked for here has one."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=1, le=10_000)] = 1


async def fetch(asked: Asked) -> web.StreamResponse:
    wanted = await read(asked.http, FileAsked)
    job = await asked_job(asked)
    return await _send(asked, job, _file(job, wanted.number), counts=True)


async def follow_link(asked: Asked) -> web.StreamResponse:
    meant = await asked.rooms.fetches.linked(asked.http.match_info["token"])
    if meant is None:
        raise Refused(HTTPStatus.NOT_FOUND, "link_expired", "This link leads nowhere, or not any more.")
    job = await known_job(asked, meant[0])
    return await _send(asked, job, _file(job, meant[1]), counts=False)


def _file(job: Job, number: int) -> ArchiveFile:
    """The job's file of that number. Raises `Refused`."""
    if job.state in {JobState.COLLECTED, JobState.CANCELLED}:
        raise gone()
    if job.state is JobState.FAILED:
        raise Refused(HTTPStatus.CONFLICT, "failed", "The job failed; its status says why.")
    if job.result is None:
        raise Refused(HTTPStatus.CONFLICT, "not_ready", f"The file is not ready: the job is {job.state}.")
    if number > len(job.result.files):
        raise unknown_task()
    return job.result.files[number - 1]


async def _send(asked: Asked, job: Job, file: ArchiveFile, *, counts: bool) -> web.StreamResponse:
    """The file, or the piece of it that was asked for. Where it `counts`, the job may go once all of it was fetched."""
    etag = f'"{job.id}-{job.fence}-{file.name.encode().hex()[-16:]}"'
    part = _part(asked.http, file.size, etag)
    piece = part or range(file.size)
    response = web.StreamResponse(
        status=HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK,
        headers={
            **SAFE,
            "Content-Type": TYPES[job.request.format],
            "Content-Disposition": _attachment(file),
            "Content-Length": str(len(piece)),
            "Accept-Ranges": "bytes",
            "ETag": etag,
            "Cache-Control": "private, no-store",
        },
    )
    if part:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    if asked.http.method == "HEAD":
        return response
    async with _fetching(asked.rooms, job):
        if await asked.rooms.pickup.is_leaving(job.id):
            raise gone()
        async with aclosing(_chunks(asked.rooms.storage, job.id, file, piece)) as chunks:
            sent, whole = await _pour(chunks, asked.http, response)
        if counts:
            # What broke off never has the last byte, as nobody knows how much of it arrived.
            reached = piece.stop if whole else min(piece.start + sent, file.size - 1)
            with suppress(RedisError):
                await asked.rooms.fetches.note(job.id, piece.start, reached, file.size)
    return response


def _part(request: web.Request, size: int, etag: str) -> range | None:
    """The one range of bytes that was asked for; None = all of them. Raises `Refused`."""
    asked = request.headers.get("Range", "") if request.method == "GET" else ""
    if not asked or request.headers.get("If-Range", etag) != etag:
        return None
    try:
        wanted = request.http_range
    except ValueError:  # several ranges, or none that anybody could mean: a server may answer with all of it
        return None
    part = range(size)[wanted]
    is_last_none = "=-" in asked and wanted.start == 0
    if not part or is_last_none:
        why = f"The file has {size} bytes; none of them are in that range."
        raise Refused(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "no_such_range", why, {"Content-Range": f"bytes */{size}"}
        )
    return part


@asynccontextmanager
async def _fetching(rooms: Rooms, job: Job) -> AsyncIterator[None]:
    """While the block lasts, everybody knows that somebody fetches. Raises `Refused` where too many do.

    Who is the last to end lets go of what was fetched, by whomever.
    """
    if rooms.fetching.locked():
        raise BUSY
    fetch = secrets.token_hex(8)

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(RedisError):
                await rooms.fetches.go_on(job.id, fetch)

    async with rooms.fetching:
        await rooms.fetches.go_on(job.id, fetch)
        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(RedisError):  # it ends by itself soon, and what is not let go of now is let go of in a day
                await rooms.fetches.end(job.id, fetch)
                await rooms.pickup.fetched(job)


async def _chunks(storage: Storage, job_id: str, file: ArchiveFile, piece: range) -> AsyncGenerator[bytes, None]:
    """These bytes of the file. Raises `Refused` where it is not there any more, or can't be read now."""
    path = storage.path(job_id, file)
    chunks = _chunks_here(path, piece) if path else storage.open(job_id, file, piece.start, piece.stop)
    begun = False
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
                begun = True
    except (FileGone, StorageDown, OSError) as error:
        log.warning("job %s: the storage: %s", job_id, error)
        if begun:
            raise ConnectionResetError from None  # half an answer can only break off
        raise (gone() if isinstance(error, FileGone) else STORAGE_DOWN) from None


async def _chunks_here(path: Path, piece: range) -> AsyncGenerator[bytes, None]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        raise FileGone from None
    # Open until the end: who fetches gets all of it, even if it is removed meanwhile.
    with file:
        file.seek(piece.start)
        left = len(piece)
        while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
    if left:
        raise FileGone(f"it lacks its last {left} bytes")


async def _pour(
    chunks: AsyncGenerator[bytes, None], request: web.Request, response: web.StreamResponse
) -> tuple[int, bool]:
    """Send the chunks; how many bytes went out, and whether whoever fetches has got all of them."""
    sent = 0
    with _line_of(request) as line:
        try:
            async for chunk in chunks:
                if not response.prepared:
                    await response.prepare(request)
                async with asyncio.timeout(STUCK_SECONDS):
                    await response.write(chunk)
                sent += len(chunk)
            await response.write_eof()
            await _taken(line)
        except OSError as error:  # lost connections, and files that can't be read on
            log.info("a fetch broke off after %s bytes: %s", sent, str(error) or type(error).__name__)
            if request.transport:
                request.transport.abort()
            return sent, False
    return sent, True


@contextmanager
def _line_of(request: web.Request) -> Iterator[socket.socket]:
    """The connection of the request, which can be asked how it stands even when it was closed here."""
    if request.transport is None:
        raise ConnectionResetError
    # Nothing waits on this side of the system: what was written is on the line.
    request.transport.set_write_buffer_limits(0)
    with socket.socket(fileno=os.dup(request.transport.get_extra_info("socket").fileno())) as line:
        yield line


async def _taken(line: socket.socket) -> None:
    """Return when the other side has all of what was sent: until then it may lie on our side of the line for long.

    Raises `ConnectionResetError` where the other side left before, and `TimeoutError` when nothing moves any more.
    """
    before, waited = 0, 0.0
    while (left := _on_our_side(line)) > 0:
        waited = waited + LOOK_SECONDS if left == before else 0.0
        if waited > STUCK_SECONDS:
            raise TimeoutError
        before = left
        await asyncio.sleep(LOOK_SECONDS)


def _on_our_side(line: socket.socket) -> int:
    """Bytes that the other side has not got yet; 0 also where the system does not tell. Raises `ConnectionResetError`."""
    queue = array("i", [0])
    try:
        fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, queue)
    except OSError:
        return 0
    # Asked after that: a reset empties the queue.
    if hasattr(socket, "TCP_INFO") and line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSED:
        raise ConnectionResetError
    return queue[0]


def _attachment(file: ArchiveFile) -> str:
    """Its name twice: curl, for one, knows only the plain one, which holds no more than ASCII."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\;%' else "_" for c in file.name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}"


def gone() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "file_gone", "The file is gone. Ask again to have it made again.")


RANGES = {"Range": "one range of bytes, such as bytes=1000-", "If-Range": "the ETag of what is there already"}
PIECES: dict[int, Content] = dict.fromkeys((HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT), tuple(TYPES.values()))
PROBLEMS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
ROUTES = (
    Route(
        "GET",
        "/api/download/file/{task_id}",
        "The finished archive; once all of it was fetched as often as it was asked for it is removed",
        fetch,
        PIECES,
        PROBLEMS,
        query=FileAsked,
        has_time=True,
        headers=RANGES,
    ),
    Route(
        "GET",
        "/files/{token}",
        "A file by a link that was sent to a chat, for a day and without the token",
        follow_link,
        PIECES,
        PROBLEMS,
        guards_itself=True,
        has_time=True,
        headers=RANGES,
    ),
)
