"""Which pages go into which file, when one file may not be larger than the chat takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.models import Chapter, Split

ENTRY_OVERHEAD = 2000
"""Bytes an archive spends on a page besides the page: headers with its name, its lines of manifest and contents."""
ARCHIVE_OVERHEAD = 20_000
"""Bytes every archive spends at least, most of it the manifest's head."""


@dataclass(frozen=True)
class PageFile:
    """A whole page on disk, or a `piece` of one, from 1: its number in the chapter, from 1, and its size in bytes."""

    number: int
    path: Path
    size: int
    piece: int = 0

    def name(self, digits: int) -> str:
        """What it is called in an archive; names sort as they are read."""
        piece = f"-{self.piece:02}" if self.piece else ""
        return f"{self.number:0{digits}}{piece}{self.path.suffix}"


@dataclass(frozen=True)
class ChapterPages:
    """A chapter with the pages of it that are there, of `total`; `folder` is its name in the archive."""

    chapter: Chapter
    folder: str
    total: int
    pages: Sequence[PageFile]

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
    """Deal chapters out to as few files of at most `limit` bytes as their order, and `split`, allow.

    A chapter is cut only where it does not fit into a file of its own. Sizes are those of stored, uncompressed pages. A
    page larger than `limit` would make a file that is larger too: the download refuses such pages.
    """
    parts: list[Part] = []
    room = 0
    before: Chapter | None = None
    for whole in chapters:
        room = room if before is None or _together(before, whole.chapter, split) else 0
        before = whole.chapter
        for piece in _pieces(whole, limit - ARCHIVE_OVERHEAD):
            size = _size(piece.pages)
            if not parts or size > room:
                parts.append(Part())
                room = limit - ARCHIVE_OVERHEAD
            parts[-1].chapters.append(piece)
            room -= size
    return parts


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
