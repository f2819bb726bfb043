"""Where finished files pass from the workers to those who want them.

Without STORAGE_URL they stay in the jobs' folders, which all processes share: one machine, or one shared folder for several.
With it they go to a bucket, each worker has a disk of its own, and nothing of a finished job stays on that.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import FileGone, StorageDown
from tasks.jobs.job import ArchiveFile, Result
from tasks.settings import TaskSettings
from tasks.workspace import JOB_ID, JobFolder, Workspace

if TYPE_CHECKING:
    from tasks.bucket import Bucket

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes read at a time: with aiogram's 64 KiB an upload takes three times the CPU."""
LOOK_SECONDS = 15.0


class Storage:
    """The finished files of all jobs. Get one from `open_storage`."""

    def __init__(self, workspace: Workspace, bucket: "Bucket | None") -> None:
        self._workspace = workspace
        self._bucket = bucket

    async def put(self, folder: JobFolder, result: Result) -> Result:
        """Bring the finished files of a job's folder here: the result says from then on where they are.

        Each attempt has a place of its own, so a worker that woke up late spoils nothing. Raises `StorageDown`.
        """
        if self._bucket is None:
            return result
        files = []
        for number, file in enumerate(result.files, start=1):
            stored = f"{folder.fence}-{number}"
            await self._bucket.put(_key(folder.path.name, stored), folder.file(file.name), file.size)
            files.append(file.model_copy(update={"stored": stored}))
        return result.model_copy(update={"files": tuple(files)})

    def leave(self, folder: JobFolder) -> None:
        """The job's result is on record: what is not needed any more goes from the worker's disk."""
        if self._bucket:
            with suppress(OSError):  # an earlier attempt that woke up late may write there; the sweep takes it
                self._workspace.remove(folder.path.name)
        else:
            folder.discard_pages()

    async def check(self, job_id: str, file: ArchiveFile) -> None:
        """Return if the whole file is there. Raises `FileGone` and `StorageDown`."""
        if file.stored:
            await self._where_stored().check(_key(job_id, file.stored), file.size)
        elif await asyncio.to_thread(_size, self._own(job_id, file)) != file.size:
            raise FileGone

    def path(self, job_id: str, file: ArchiveFile) -> Path | None:
        """Where the file is on this machine; None = it can only be read by `open`."""
        return None if file.stored else self._own(job_id, file)

    async def open(
        self, job_id: str, file: ArchiveFile, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The file's bytes from `start` up to `end` (not with it; None = all), in chunks of about a million.

        Raises `FileGone` and `StorageDown`, at the first chunk or in between.
        """
        end = file.size if end is None else min(end, file.size)
        if file.stored:
            async for chunk in self._where_stored().read(_key(job_id, file.stored), file.size, start, end):
                yield chunk
            return
        path = self._own(job_id, file)
        for at in range(start, end, CHUNK):
            # Opened for each chunk, as nobody closes what is read when an upload breaks off.
            yield await asyncio.to_thread(_read, path, at, min(CHUNK, end - at))

    async def remove(self, job_id: str) -> None:
        """Remove everything of the job, on this disk and in the bucket; nothing there is fine.

        Raises `StorageDown`, and `OSError` where something on the disk is still in use.
        """
        await asyncio.to_thread(self._workspace.remove, job_id)
        if self._bucket:
            await self._bucket.remove(job_id)

    async def job_ids(self) -> list[str]:
        """Jobs that have something on this disk or in the bucket. Of a bucket that is away, the log tells."""
        ids = set(self._workspace.job_ids())
        if self._bucket:
            try:
                ids.update(name for name in await self._bucket.folders() if JOB_ID.fullmatch(name))
            except StorageDown as error:
                log.warning("the bucket of STORAGE_URL: %s", error)
        return sorted(ids)

    async def look(self) -> None:
        """Return if the bucket answers us, or none is used. Raises `StorageDown`."""
        if self._bucket:
            await self._bucket.look()

    async def wait(self) -> None:
        """Return once the bucket answers us; until then the log says why it does not."""
        while self._bucket:
            try:
                await self.look()
            except StorageDown as error:
                log.warning("the bucket of STORAGE_URL: %s; looking again in %.0f s", error, LOOK_SECONDS)
                await asyncio.sleep(LOOK_SECONDS)
            else:
                log.info("the bucket of STORAGE_URL is there")
                return

    def _where_stored(self) -> "Bucket":
        if self._bucket is None:
            raise FileGone("it is in a bucket, and STORAGE_URL is empty now")
        return self._bucket

    def _own(self, job_id: str, file: ArchiveFile) -> Path:
        return self._workspace.folder(job_id).finished(file.name)


def open_storage(settings: TaskSettings) -> Storage:
    """The storage that STORAGE_URL names. Nothing is connected yet."""
    workspace = Workspace(settings)
    if not settings.storage_url:
        return Storage(workspace, None)
    from tasks.bucket import Bucket  # noqa: PLC0415 - loaded only where it is used, and only after a worker has forked

    return Storage(workspace, Bucket(settings))


def _key(job_id: str, stored: str) -> str:
    return f"{job_id}/{stored}"


def _size(path: Path) -> int | None:
    """Bytes of the file; None = it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _read(path: Path, start: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(length)
    except FileNotFoundError:
        raise FileGone from None
    if len(body) < length:
        raise FileGone(f"{path.name} is cut short")
    return body
