"""A bucket of any S3-compatible store, and finished files in it as pieces, each of which is whole or not there.

Keys below the prefix of STORAGE_URL
    <job id>/<fence>-<number>/<piece>   `PIECE` bytes of the job's file of that number, the last piece has the rest; numbers
                                        and pieces count from 1 and 0

A file is there once the job's record says so. Not S3's multipart uploads: those of a killed worker stay as hidden parts that
cost money, which not every store lists and removes. Pieces are objects like any other: the sweep finds them, what is tried
again is small, no more than one is in memory, and every store can do it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import obstore
import stamina
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tasks.errors import FileGone, StorageDown
from tasks.settings import TaskSettings

PIECE = 4 << 20
"""Bytes: so many are in memory for each who stores or reads a file."""
CHUNK = 1 << 20
"""Bytes given to a reader at a time."""
CONNECT_SECONDS, REQUEST_SECONDS = 5, 120
RETRIES, RETRY_SECONDS = 3, 10
"""Of one request, by obstore."""
PATIENCE_SECONDS = 120.0
"""For which a piece is tried to be stored while the store is away or overloaded: longer than a restart of it takes."""
LONGEST_WAIT = 5.0
PASSING = {"RequestTimeout", "OperationAborted"}
"""What a store answers as if it were our fault, when the network was slow or it had two requests at once."""

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w+)</Code>")
CAUSE = re.compile(r'message: "([^"]+)"|(operation timed out|dns error|certificate)', re.IGNORECASE)


class Piece(NamedTuple):
    """Where a part of a file is: bytes `start` to `end` of the object, which has `size` of them."""

    key: str
    start: int
    end: int
    size: int


class Bucket:
    """The bucket that STORAGE_URL names. All methods raise `StorageDown`."""

    def __init__(self, settings: TaskSettings) -> None:
        name, _, prefix = settings.storage_url.removeprefix("s3://").partition("/")
        given = {
            "endpoint": settings.aws_endpoint_url,
            "region": settings.aws_region,
            "access_key_id": settings.aws_access_key_id,
            "secret_access_key": settings.aws_secret_access_key.get_secret_value(),
        }
        self._store = S3Store(
            name,
            prefix=prefix or None,
            # What is not given here, obstore looks for as AWS's own tools do: the role of a machine or container.
            **{option: value for option, value in given.items() if value},  # type: ignore[arg-type]
            # Deleting many at once is not understood everywhere.
            disable_bulk_delete=True,
            client_options={
                "allow_http": settings.aws_endpoint_url.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=REQUEST_SECONDS),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        )

    async def put(self, key: str, path: Path, size: int) -> None:
        """Store the file's first `size` bytes under that key."""
        for piece in _pieces(key, size, 0, size):
            body = await asyncio.to_thread(_read, path, int(piece.key.rpartition("/")[2]) * PIECE, piece.size)
            async for attempt in stamina.retry_context(
                _may_pass, attempts=None, timeout=PATIENCE_SECONDS, wait_initial=0.2, wait_max=LONGEST_WAIT
            ):
                with attempt:
                    await self._put(piece.key, body)

    async def _put(self, key: str, body: bytes) -> None:
        try:
            await obstore.put_async(self._store, key, body)
        except (BaseError, OSError) as error:
            raise _down(error) from None

    async def read(self, key: str, size: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` of the file of `size` bytes, in chunks. Raises `FileGone`."""
        for piece in _pieces(key, size, start, end):
            # All of it at once: who takes the chunks may be slower than a store waits, and not each one gives ranges rightly.
            for chunk in _chunks(await self._get(piece), piece):
                yield chunk

    async def _get(self, piece: Piece) -> obstore.Bytes:
        try:
            body = await (await obstore.get_async(self._store, piece.key)).bytes_async()
        except (BaseError, OSError) as error:
            raise _lost(error) from None
        if len(body) != piece.size:
            raise FileGone(f"{piece.key} has {len(body)} bytes instead of {piece.size}")
        return body

    async def check(self, key: str, size: int) -> None:
        """Return if the file of that size is there. Raises `FileGone`."""
        last = list(_pieces(key, size, 0, size))[-1]
        try:
            found = await obstore.head_async(self._store, last.key)
        except (BaseError, OSError) as error:
            raise _lost(error) from None
        if found["size"] != last.size:
            raise FileGone(f"{last.key} has {found['size']} bytes instead of {last.size}")

    async def look(self) -> None:
        """Return if the bucket answers us."""
        async for _ in self._objects():
            return

    async def folders(self) -> set[str]:
        """Names of the folders at the top that have something in them, which are jobs' ids."""
        # Not by asking for folders: SeaweedFS keeps those of which everything was removed.
        return {key.partition("/")[0] async for keys in self._objects() for key in keys}

    async def remove(self, folder: str) -> None:
        """Remove everything in that folder; nothing there is fine."""
        async for keys in self._objects(folder):
            try:
                await obstore.delete_async(self._store, keys)
            except (BaseError, OSError) as error:
                raise _down(error) from None

    async def _objects(self, folder: str | None = None) -> AsyncIterator[list[str]]:
        """Keys of what is there, or in that folder, in portions."""
        try:
            async for objects in obstore.list(self._store, folder, chunk_size=1000):
                yield [one["path"] for one in objects]
        except (BaseError, OSError) as error:
            raise _down(error) from None


def _pieces(key: str, size: int, start: int, end: int) -> Iterator[Piece]:
    """The pieces of a file of `size` bytes that have some of `start` to `end`."""
    for number in range(start // PIECE, -(-end // PIECE)):
        at = number * PIECE
        piece_size = min(PIECE, size - at)
        yield Piece(f"{key}/{number:05}", max(start - at, 0), min(end - at, piece_size), piece_size)


def _chunks(body: obstore.Bytes, piece: Piece) -> Iterator[bytes]:
    view = memoryview(body)
    for at in range(piece.start, piece.end, CHUNK):
        yield bytes(view[at : min(at + CHUNK, piece.end)])


def _read(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _lost(error: Exception) -> FileGone | StorageDown:
    gone = isinstance(error, FileNotFoundError) and "NoSuchBucket" not in CODE.findall(str(error))
    return FileGone() if gone else _down(error)


def _down(error: Exception) -> StorageDown:
    """What is wrong in a few words: the library's own are many lines, with addresses and what the store knows of our key."""
    text = str(error)
    status, code, cause = STATUS.search(text), CODE.search(text), CAUSE.search(text)
    if status:
        return StorageDown(f"{status[1]} {code[1] if code else ''}".strip(), status=int(status[1]))
    return StorageDown((cause[1] or cause[2]).lower() if cause else type(error).__name__)


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, StorageDown):
        return False
    status = int(error.detail.get("status", 503))
    return status >= 500 or status in {408, 429} or not PASSING.isdisjoint(str(error).split())
