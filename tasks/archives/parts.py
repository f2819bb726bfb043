"""Which pages go into which file, when one file may not be larger than the chat takes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tasks.models import Chapter, Split

CHUNK = 1 << 20
ENTRY_OVERHEAD = 2000
"""Bytes an archive spends on a page besides the page: headers with its name, its lines of manifest and contents."""
ARCHIVE_OVERHEAD = 20_000
"""Bytes every archive spends at least, most of it the manifest's head."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A whole page on disk, or a `piece` of one, from 1: its number in the chapter, from 1, and where its bytes are.

    Those are `size` bytes at `offset` of the file, with that digest; `suffix` says of what type they are, such as ".jpg".
    """

    number: int
    path: Path
    size: int
    sha256: str
    suffix: str
    offset: int = 0
    piece: int = 0
    crc: int = 0
    """Its CRC-32, where its bytes were put straight into an archive."""

    @classmethod
    def of(cls, number: int, path: Path, piece: int = 0) -> Self:
        """The page that is all of that file, which is read."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(number, path, file.tell(), digest, path.suffix, piece=piece)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, at most `CHUNK` at a time. Raises `OSError`, also where there are too few."""
        left = self.size
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while left:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    raise OSError(f"{self.path.name} is too short for page {self.number}")
                left -= len(chunk)
                yield chunk

    def read(self) -> bytes:
        """All of it at once."""
        return b"".join(self.chunks())

    def is_as_told(self) -> bool:
        """Whether its bytes are there and have that digest."""
        digest = hashlib.sha256()
        try:
            for chunk in self.chunks():
                digest.update(chunk)
        except OSError:
            return False
        return digest.hexdigest() == self.sha256

    def name(self, digits: int) -> str:
        """What it is called in an archive; names sort as they are read."""
        piece = f"-{self.piece:02}" if self.piece else ""
        return f"{self.number:0{digits}}{piece}{self.suffix}"


@dataclass(frozen=True)
class ChapterPages:
    """A chapter with the pages of it that are there, of `total`; `folder` is its name in the archive."""

    chapter: Chapter
    folder: str
    total: int
    pages: Sequence[PageFile]

    def name_of(self, page: PageFile) -> str:
        """What the page is called in an archive."""
        return f"{self.folder}/{page.name(max(3, len(str(self.total))))}"

    def told(self, files: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What a manifest says of the chapter, with what it says of each page."""
        return {
            **self.chapter.model_dump(include={"id", "number", "volume", "title", "language", "groups"}),
            "page_count": self.total,
            "files": list(files),
        }


@dataclass
class Part:
    """What one file holds."""

    chapters: list[ChapterPages] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        return [chapter.chapter.label for chapter in self.chapters]

    @property
    def language(self) -> str | None:
        """Of its chapters; None where they have none, or several."""
        languages = {chapter.chapter.language for chapter in self.chapters}
        return languages.pop() if len(languages) == 1 else None

    @property
    def pages(self) -> int:
        """Pages as the source has them, however many pieces they are in."""
        return sum(len({page.number for page in chapter.pages}) for chapter in self.chapters)

    @property
    def images(self) -> int:
        return sum(len(chapter.pages) for chapter in self.chapters)


def plan(chapters: Iterable[ChapterPages], limit: int, split: Split = Split.ALL) -> list[Part]:
    """All parts of these chapters; see `Planner`."""
    planner = Planner(limit, split)
    for chapter in chapters:
        planner.add(chapter)
    return planner.parts


class Planner:
    """Deals chapters out to as few files of at most `limit` bytes as their order, and `split`, allow.

    A chapter is cut only where it does not fit into a file of its own. Sizes are those of stored, uncompressed pages. A
    page larger than `limit` would make a file that is larger too: the download refuses such pages.
    """

    def __init__(self, limit: int, split: Split) -> None:
        self._limit = limit - ARCHIVE_OVERHEAD
        self._split = split
        self._room = 0
        self._before: Chapter | None = None
        self.parts: list[Part] = []

    def add(self, whole: ChapterPages) -> list[tuple[int, ChapterPages]]:
        """Where the next chapter went: it, or the pieces it was cut into, with the places of the parts they are in now."""
        if self._must_part(whole.chapter):
            self._room = 0
        self._before = whole.chapter
        return [(self._part_for(piece), piece) for piece in _pieces(whole, self._limit)]

    def place_for(self, chapter: Chapter, least: int, most: int) -> int | None:
        """Where the next chapter will go, if its pages take from `least` to `most` bytes; None = it depends, or may be cut."""
        if most > self._limit:
            return None
        if not self.parts or least > self._room or self._must_part(chapter):
            return len(self.parts)
        return len(self.parts) - 1 if most <= self._room else None

    def _must_part(self, chapter: Chapter) -> bool:
        """Whether no file holds both the chapter and the one before it."""
        return self._before is not None and not _together(self._before, chapter, self._split)

    def _part_for(self, piece: ChapterPages) -> int:
        size = _size(piece.pages)
        if not self.parts or size > self._room:
            self.parts.append(Part())
            self._room = self._limit
        self._room -= size
        self.parts[-1].chapters.append(piece)
        return len(self.parts) - 1


def _together(before: Chapter, chapter: Chapter, split: Split) -> bool:
    return split is Split.ALL or (split is Split.VOLUME and before.volume == chapter.volume)


def _pieces(whole: ChapterPages, room: int) -> list[ChapterPages]:
    if _size(whole.pages) <= room:
        return [whole]
    runs: list[list[PageFile]] = []
    left = 0
    for page in whole.pages:
        size = _size([page])
        if not runs or size > left:
            runs.append([])
            left = room
        runs[-1].append(page)
        left -= size
    return [ChapterPages(whole.chapter, whole.folder, whole.total, run) for run in runs]


def _size(pages: Iterable[PageFile]) -> int:
    return sum(page.size + ENTRY_OVERHEAD for page in pages)
