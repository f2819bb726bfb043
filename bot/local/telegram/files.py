"""Files the bot uploaded: on disk from the first byte, found again by their ids."""

import json
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import BodyPartReader

from bot.local.telegram.errors import ApiError

CHUNK = 1 << 20


@dataclass(frozen=True)
class StoredFile:
    """A file Telegram has: what it is called, its type and size."""

    file_id: str
    name: str
    mime_type: str
    size: int


class Files:
    """Keeps uploads in `folder`, or in a temporary one that goes with this object."""

    def __init__(self, folder: Path | None, upload_limit: int) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="telegram-")
        self._folder = folder / "files" if folder else Path(self._temporary.name if self._temporary else "")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.upload_limit = upload_limit
        self.uploads = 0

    async def store(self, part: BodyPartReader) -> StoredFile:
        """Take an uploaded file in. Raises the 413 of a file above the limit."""
        file_id = f"BQ{secrets.token_urlsafe(24)}"
        unfinished, size = self._folder / f"{file_id}.part", 0
        with unfinished.open("wb") as target:
            while chunk := await part.read_chunk(CHUNK):
                size += len(chunk)
                if size <= self.upload_limit:
                    target.write(chunk)
        if size > self.upload_limit:
            unfinished.unlink()
            raise ApiError(413, "Request Entity Too Large", breach=True)
        self.uploads += 1
        stored = StoredFile(file_id, part.filename or "file", part.headers.get("Content-Type", ""), size)
        (self._folder / f"{file_id}.json").write_text(json.dumps(asdict(stored)))
        unfinished.rename(self.path(file_id))
        return stored

    def get(self, file_id: str) -> StoredFile | None:
        """The file of that id, whoever made the id up."""
        if not file_id.replace("-", "").replace("_", "").isalnum():
            return None
        path = self._folder / f"{file_id}.json"
        return StoredFile(**json.loads(path.read_text())) if path.exists() else None

    def path(self, file_id: str) -> Path:
        """Where the bytes of a known file are."""
        return self._folder / file_id

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()
