"""The ZIP: a folder for each chapter, the pages' own bytes, `manifest.json`. Same input, same bytes.

A CBZ is the same with a `ComicInfo.xml`, which comic readers look for.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.archives.comic_info import comic_info
from tasks.archives.parts import ChapterPages, PageFile, Part
from tasks.jobs.job import Missing
from tasks.models import ArchiveFormat, DownloadRequest

CHUNK = 1 << 20
MANIFEST = "manifest.json"
COMIC_INFO = "ComicInfo.xml"
Checkpoint = Callable[[], None]
"""Called at least once for each mebibyte; what it raises ends the writing."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a ZIP can tell: every entry has it, so that the time of packing leaves no trace."""


@dataclass(frozen=True)
class Archive:
    """What one archive says of itself: the `number`th of `total` files that answer to a request."""

    request: DownloadRequest
    part: Part
    missing: Sequence[Missing]
    number: int
    total: int


def write_zip(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    """Write the archive to `unfinished`, read it back, and rename it to `file`.

    Blocks for as long as it takes: call it in a thread, and raise something in `checkpoint` to end it. Raises `OSError`.
    """
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as target:
        chapters = [_write_chapter(target, chapter, checkpoint) for chapter in archive.part.chapters]
        target.writestr(entry(MANIFEST), manifest(archive, chapters))
        if archive.request.format is ArchiveFormat.CBZ:
            target.writestr(entry(COMIC_INFO), comic_info(archive.request, archive.part))
    validate(unfinished, checkpoint)
    unfinished.rename(file)


def entry(name: str) -> zipfile.ZipInfo:
    """An entry of that name that tells nothing of when and where it was written."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # Unix, wherever it is written
    entry.external_attr = 0o644 << 16
    return entry


def _write_chapter(archive: zipfile.ZipFile, chapter: ChapterPages, checkpoint: Checkpoint) -> dict[str, Any]:
    digits = max(3, len(str(chapter.total)))
    files = [write_page(archive, f"{chapter.folder}/{page.name(digits)}", page, checkpoint) for page in chapter.pages]
    return chapter.told(files)


def write_page(archive: zipfile.ZipFile, name: str, page: PageFile, checkpoint: Checkpoint) -> dict[str, Any]:
    """Write the page's bytes as they are; what the manifest says of it."""
    digest = hashlib.sha256()
    info = entry(name)
    info.file_size = page.size  # lets zipfile choose ZIP64 for what is that large
    with page.path.open("rb") as source, archive.open(info, "w") as target:
        while chunk := source.read(CHUNK):
            checkpoint()
            digest.update(chunk)
            target.write(chunk)
    return {"name": name, "size": page.size, "sha256": digest.hexdigest()}


def manifest(archive: Archive, chapters: Sequence[dict[str, Any]]) -> str:
    """The text of `manifest.json`, with what each chapter's `told` gave."""
    said = {
        "source": archive.request.source,
        "manga_id": archive.request.manga_id,
        "title": archive.request.title,
        "quality": archive.request.quality.value,
        "part": archive.number,
        "parts": archive.total,
        "page_count": archive.part.pages,
        "chapters": [{"source": archive.request.source, **chapter} for chapter in chapters],
        "missing": [one.model_dump(mode="json") for one in archive.missing],
    }
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True)


def file_entries(chapter: ChapterPages) -> dict[str, Any]:
    """What the manifest says of a chapter whose pages have no names in the file."""
    return chapter.told(
        [{"number": page.number, "size": page.size, "sha256": _digest(page.path)} for page in chapter.pages]
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def validate(path: Path, checkpoint: Checkpoint) -> None:
    """Read every entry, so that its checksum is compared, and see the file to the disk. Raises `OSError`."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            try:
                with archive.open(name) as entry:
                    while entry.read(CHUNK):
                        checkpoint()
            except zipfile.BadZipFile as error:
                raise OSError(f"{name} can't be read back from {path.name}") from error
    with path.open("rb") as file:
        os.fsync(file.fileno())
