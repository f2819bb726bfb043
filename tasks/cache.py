"""Whole chapters on disk, from which later jobs are packed without asking the source. The least recently used go first.

A chapter is linked into the folder of a job that needs it, so what goes here takes nothing away from anybody. Everything
blocks: call it in threads.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from tasks.archives.parts import PageFile
from tasks.models import Chapter, Quality, Value
from tasks.page_folder import PageFolder, StoredPage
from tasks.workspace import NO_LINKS, sizes

log = logging.getLogger(__name__)

VERSION = 1
"""Of what is kept here; older entries are not found any more."""
INDEX = "index.json"
COPIES = "pages"
"""The file of those that can't be linked."""
LONGEST_KEPT = 7 * 24 * 3600
"""Seconds after which a source is asked anew: some put better pages under an old id."""
ABANDONED_SECONDS = 600


class Index(Value):
    """The pages of a whole chapter, in their order."""

    pages: tuple[StoredPage, ...]


@dataclass(frozen=True)
class _Entry:
    path: Path
    used_at: float
    files: Mapping[int, int]
    """The size of each of its files, by inode: chapters that came into one archive have that in common."""


def cache_key(source: str, chapter: Chapter, quality: Quality) -> str:
    """What chapters have in common whose pages are the same, byte for byte."""
    said = [VERSION, source, chapter.id, chapter.language, sorted(chapter.groups), quality.value]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:40]


class ChapterCache:
    """The chapters in one folder, with at most `limit` bytes after each `shrink`; 0 = none is kept."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def take(self, key: str, folder: PageFolder) -> dict[int, PageFile] | None:
        """Put the chapter's pages into a job's folder, by number; None if it is not here whole."""
        entry = self._folder / key
        try:
            index = self._index(entry)
        except FileNotFoundError:
            return None
        except ValueError:
            self._give_up(entry)
            return None
        try:
            pages = folder.take_over(index.pages, lambda name, target: _link(entry / name, target))
        except (FileNotFoundError, ValueError):
            # Nothing waits for the disk when a chapter is kept, so a crash of the machine may have left less.
            self._give_up(entry)
            return None
        with suppress(FileNotFoundError):  # it goes just now
            os.utime(entry)
        return {page.number: page for page in pages}

    def _give_up(self, entry: Path) -> None:
        log.warning("the cached chapter %s is damaged and goes", entry.name)
        self._remove(entry)

    def _index(self, entry: Path) -> Index:
        index = entry / INDEX
        if time.time() - index.stat().st_mtime > LONGEST_KEPT:
            raise FileNotFoundError
        return Index.model_validate_json(index.read_bytes())

    def keep(self, key: str, pages: Sequence[PageFile]) -> None:
        """Keep a whole chapter: all its pages, in their order. Raises `OSError`."""
        if not self._limit or self._has(key):
            return
        part = self._folder / f"{key}.{secrets.token_hex(8)}.part"
        part.mkdir(parents=True)
        try:
            listed = _linked(pages, part)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            listed = _copied(pages, part / COPIES)
        (part / INDEX).write_text(Index(pages=tuple(listed)).model_dump_json())
        self._remove(self._folder / key)  # one that is too old
        try:
            part.rename(self._folder / key)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # another job was first

    def _has(self, key: str) -> bool:
        try:
            return bool(self._index(self._folder / key))
        except (OSError, ValidationError):
            return False

    def shrink(self, wanted: int | None = None) -> int:
        """Remove what is too old or too much, down to `wanted` bytes where less than the limit; how many bytes went."""
        limit = self._limit if wanted is None else min(wanted, self._limit)
        entries = _oldest_first(list(self._entries()))
        users = Counter(inode for entry in entries for inode in entry.files)
        size = before = _size(entries)
        for entry in entries:
            if size <= limit:
                break
            self._remove(entry.path)
            users.subtract(entry.files.keys())
            size -= sum(bytes_ for inode, bytes_ in entry.files.items() if not users[inode])
        return before - size

    @property
    def size(self) -> int:
        """Bytes of all files that are here."""
        return _size(self._entries())

    def _entries(self) -> Iterator[_Entry]:
        if not self._folder.exists():
            return
        for path in list(self._folder.iterdir()):
            try:
                if path.suffix == ".part":
                    if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                        shutil.rmtree(path, ignore_errors=True)
                    continue
                self._index(path)
                yield _Entry(path, path.stat().st_mtime, sizes(path.iterdir()))
            except (OSError, ValidationError):
                self._remove(path)

    def _remove(self, entry: Path) -> None:
        # Renamed first: nobody finds half of it.
        going = entry.with_suffix(f".{time.monotonic_ns()}.part")
        try:
            entry.rename(going)
        except OSError:
            return
        shutil.rmtree(going, ignore_errors=True)


def _oldest_first(entries: Sequence[_Entry]) -> list[_Entry]:
    """An entry counts as young as the youngest it has a file in common with: before that goes, it frees nothing."""
    youngest: dict[int, float] = {}
    for entry in entries:
        for inode in entry.files:
            youngest[inode] = max(entry.used_at, youngest.get(inode, 0))
    return sorted(entries, key=lambda entry: (max(youngest[inode] for inode in entry.files), entry.used_at))


def _size(entries: Iterable[_Entry]) -> int:
    return sum({inode: size for entry in entries for inode, size in entry.files.items()}.values())


def _linked(pages: Sequence[PageFile], folder: Path) -> list[StoredPage]:
    for path in {page.path for page in pages}:
        (folder / path.name).hardlink_to(path)
    return [StoredPage.of(page, page.path.name) for page in pages]


def _copied(pages: Sequence[PageFile], file: Path) -> list[StoredPage]:
    """The pages alone: the archive that they are in may be much larger, and the same for each chapter."""
    listed = []
    with file.open("wb") as target:
        for page in pages:
            listed.append(StoredPage.of(replace(page, offset=target.tell()), file.name))
            target.writelines(page.chunks())
    return listed


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)
