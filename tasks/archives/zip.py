"""The ZIP: a folder for each chapter, the pages' own bytes, `manifest.json`. Same input, same bytes.

A CBZ is the same with a `ComicInfo.xml`, which comic readers look for.
"""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.archives.parts import ChapterPages, PageFile, Part
from tasks.jobs.job import Missing
from tasks.models import DownloadRequest

MANIFEST = "manifest.json"
COMIC_INFO = "ComicInfo.xml"
Checkpoint = Callable[[], None]
"""Called at least once for each mebibyte; what it raises ends the writing."""
Told = tuple[str, int, int]
"""Name, size and checksum of an entry."""
HEADER = 30
"""Bytes of an entry's header besides its name."""
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


def header_size(name: str) -> int:
    """Bytes before an entry's own ones."""
    return HEADER + len(name.encode())


def entry(name: str) -> zipfile.ZipInfo:
    """An entry of that name that tells nothing of when and where it was written."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # Unix, wherever it is written
    entry.external_attr = 0o644 << 16
    return entry


def write_page(archive: zipfile.ZipFile, name: str, page: PageFile, checkpoint: Checkpoint) -> dict[str, Any]:
    """Write the page's bytes as they are; what the manifest says of it."""
    info = entry(name)
    info.file_size = page.size  # lets zipfile choose ZIP64 for what is that large
    with archive.open(info, "w") as target:
        for chunk in page.chunks():
            checkpoint()
            target.write(chunk)
    return page_told(name, page)


def page_told(name: str, page: PageFile) -> dict[str, Any]:
    return {"name": name, "size": page.size, "sha256": page.sha256}


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
    return chapter.told([{"number": page.number, "size": page.size, "sha256": page.sha256} for page in chapter.pages])


def validate(path: Path, written: Sequence[Told]) -> None:
    """See the archive to the disk, and that its contents list what was written. Raises `OSError`."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        try:
            found = [told(entry) for entry in zipfile.ZipFile(file).infolist()]
        except zipfile.BadZipFile as error:
            raise OSError(f"{path.name} can't be read back") from error
    if found != written:
        raise OSError(f"{path.name} does not hold what was written")


def told(entry: zipfile.ZipInfo) -> Told:
    """What contents say of that entry."""
    return entry.filename, entry.file_size, entry.CRC
