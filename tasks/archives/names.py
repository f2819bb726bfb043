"""What archives, their folders and their pages are called."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from tasks.models import Chapter, DownloadRequest
from tasks.workspace import safe_name


def chapter_folder(chapter: Chapter) -> str:
    """`Chapter 0012.5 - <name>`; folders of that name sort by number anywhere."""
    if chapter.number is None:
        return safe_name(chapter.title or f"Chapter {chapter.id}", "Chapter", 120)
    whole, dot, fraction = chapter.number.partition(".")
    number = f"Chapter {whole.zfill(4)}{dot}{fraction}"
    return safe_name(f"{number} - {chapter.title}" if chapter.title else number, number, 120)


def chapter_folders(chapters: Iterable[Chapter]) -> list[str]:
    """A folder for each chapter, no two alike even where letter case is one."""
    taken: set[str] = set()
    names = []
    for chapter in chapters:
        name, count = chapter_folder(chapter), 1
        while name.casefold() in taken:
            count += 1
            name = f"{chapter_folder(chapter)} ({count})"
        taken.add(name.casefold())
        names.append(name)
    return names


def chapter_range(labels: Sequence[str], dash: str = "–") -> str:
    """A short text for chapters in their order: `1–3, 5, 8.5`. Only whole neighbours are drawn together."""
    runs: list[list[str]] = []
    for before, label in pairwise(["", *labels]):
        if runs and _follows(before, label):
            runs[-1].append(label)
        else:
            runs.append([label])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}{dash}{run[-1]}" for run in runs)


def _follows(before: str, label: str) -> bool:
    try:
        return Decimal(label) == Decimal(before) + 1 and Decimal(label) % 1 == 0
    except InvalidOperation:
        return False


def archive_name(request: DownloadRequest, labels: Sequence[str], part: int, parts: int) -> str:
    """`<Title> - <chapters>.zip`, with ` (part 2 of 3)` where there is more than one.

    What holds some pages of its chapters alone says so: it would have the name of the file that they were missing in.
    """
    which = " (missing pages)" if request.only else ""
    which += f" (part {part} of {parts})" if parts > 1 else ""
    chapters = safe_name(chapter_range(labels, "-"), "chapters", 60)
    return f"{safe_name(request.title, 'Untitled', 110)} - {chapters}{which}.{request.format.value}"
