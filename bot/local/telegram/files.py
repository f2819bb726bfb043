"""Files the bot uploaded: on disk from the first byte, found again by their ids."""

import asyncio
import json
import math
import mimetypes
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from aiohttp import BodyPartReader

from bot.local.telegram.errors import ApiError, bad_request

CHUNK = 1 << 20
CLOUD_LIMIT = 50_000_000
LOCAL_LIMIT = 2_000_000_000
BY_PATH = "file:/"


@dataclass(frozen=True)
class StoredFile:
    """A file Telegram has: what it is called, its type and size."""

    file_id: str
    name: str
    mime_type: str
    size: int


class Files:
    """Keeps uploads in `folder`, or in a temporary one that goes with this object.

    With `local` these are the files of a self-hosted server with `--local`, which reads by itself what is below that folder:
    all that there is for a server in a container.
    """

    def __init__(self, folder: Path | None, local: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="telegram-")
        self._folder = folder / "files" if folder else Path(self._temporary.name if self._temporary else "")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.upload_limit = LOCAL_LIMIT if local else CLOUD_LIMIT
        self.local = local
        self.uploads = 0
        self.asked_by_path = 0
        self.read_by_path = 0
        """How many of the uploads were read where the bot has them."""
        self._lets_in = math.inf
        self._moved = asyncio.Event()

    def let_in(self, size: float) -> None:
        """Read about so many bytes of an upload, and the rest when more are let in."""
        self._lets_in = size
        self._moved.set()
        self._moved = asyncio.Event()

    async def store(self, part: BodyPartReader) -> StoredFile:
        """Take an uploaded file in. Raises the 413 of a file above the limit."""
        file_id = f"BQ{secrets.token_urlsafe(24)}"
        unfinished, size = self._folder / f"{file_id}.part", 0
        with unfinished.open("wb") as target:
            while chunk := await part.read_chunk(CHUNK):
                size += len(chunk)
                while size > self._lets_in:
                    await self._moved.wait()
                if size <= self.upload_limit:
                    target.write(chunk)
        if size > self.upload_limit:
            unfinished.unlink()
            raise ApiError(413, "Request Entity Too Large", breach=True)
        return self._keep(unfinished, StoredFile(file_id, _name(part), part.headers.get("Content-Type", ""), size))

    def take(self, name: str, body: bytes) -> StoredFile:
        """Keep what a person sends."""
        stored = StoredFile(f"BQ{secrets.token_urlsafe(24)}", name, mimetypes.guess_type(name)[0] or "", len(body))
        unfinished = self._folder / f"{stored.file_id}.part"
        unfinished.write_bytes(body)
        return self._keep(unfinished, stored, is_upload=False)

    def read(self, address: str) -> StoredFile:
        """Take in the file of a `file:` address. Blocks. Raises the 400 of one that can't be read."""
        self.asked_by_path += 1
        if self.local is None:
            raise bad_request("wrong remote file identifier specified: Wrong character in the string", breach=True)
        path = self._visible(_path_in(address))
        size = path.stat().st_size
        if size == 0:
            raise bad_request("file must be non-empty", breach=True)
        if size > self.upload_limit:
            raise bad_request(f'File "{path}" of size {size} bytes is too big', breach=True)
        file_id = f"BQ{secrets.token_urlsafe(24)}"
        unfinished = self._folder / f"{file_id}.part"
        try:
            shutil.copyfile(path, unfinished)
        except PermissionError:
            raise bad_request(f'File "{path}" can\'t be opened for reading') from None
        self.read_by_path += 1
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return self._keep(unfinished, StoredFile(file_id, path.name, kind, size))

    def _visible(self, path: str) -> Path:
        try:
            real = Path(path).resolve(strict=True)
            if self.local is None or not real.is_relative_to(self.local.resolve()):
                raise FileNotFoundError
        except (OSError, ValueError):
            raise bad_request("can't find real file path") from None
        if not real.is_file():
            raise bad_request("file must be a regular file", breach=True)
        return real

    def _keep(self, unfinished: Path, stored: StoredFile, *, is_upload: bool = True) -> StoredFile:
        self.uploads += is_upload
        (self._folder / f"{stored.file_id}.json").write_text(json.dumps(asdict(stored)))
        unfinished.rename(self.path(stored.file_id))
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


def _path_in(address: str) -> str:
    """What a server with `--local` takes for the path."""
    rest = address.removeprefix(BY_PATH)
    return unquote(rest.removeprefix("/localhost" if rest.startswith("/localhost") else "/"))


def _name(part: BodyPartReader) -> str:
    """The file's name as Bot API servers read it: quotes or not, it ends at the first semicolon."""
    fields = [field.strip().partition("=") for field in part.headers.get("Content-Disposition", "").split(";")]
    name = next((value.strip() for key, _, value in fields if key == "filename"), "")
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return name or "file"
