"""Long strips, and where they can be cut: at gutters, rows of one colour between two panels. Same input, same cuts."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import get_sampling

STRIP = 3.0
"""Height by width from which a page is a long strip."""
WANTED = 1.5
"""Height by width that a piece should have, about that of a page of paper."""
LEAST = 0.5
COLUMNS = 32
"""A row is looked at in so many places, each the mean of what is there."""
SAME = 6
"""Differences of grey, of 255, that do not show."""
GUTTER_ROWS = 8
BLOCK = 16
"""Cuts are at multiples of so many rows: a JPEG's blocks stay whole, and lose next to nothing."""


def cuts(page: Path) -> list[int]:
    """Rows before which the page is to be cut, from top to bottom; none for what is no strip, or has no gutters."""
    with Image.open(page) as image:
        if image.height < STRIP * image.width or getattr(image, "is_animated", False):
            return []
        width, height = image.size
        image.draft("L", image.size)
        rows = image.convert("L").resize((COLUMNS, height), Image.Resampling.BOX).tobytes()
    return _chosen(_gutters(rows, height), width, height)


def _gutters(rows: bytes, height: int) -> list[tuple[int, int]]:
    """First row of each gutter, and the row behind it."""
    found: list[tuple[int, int]] = []
    for row in range(height):
        here = rows[row * COLUMNS : (row + 1) * COLUMNS]
        if max(here) - min(here) > SAME:
            continue
        if found and found[-1][1] == row:
            found[-1] = (found[-1][0], row + 1)
        else:
            found.append((row, row + 1))
    return [(first, end) for first, end in found if end - first >= GUTTER_ROWS]


def _chosen(gutters: Sequence[tuple[int, int]], width: int, height: int) -> list[int]:
    """The cuts that make pieces of about the wanted height; a piece is longer where no gutter comes sooner."""
    places = [_at(first, end) for first, end in gutters]
    chosen, top = [], 0
    while height - top > WANTED * width + LEAST * width:
        usable = [one for one in places if one - top >= LEAST * width and height - one >= LEAST * width]
        if not usable:
            break
        within = [one for one in usable if one - top <= WANTED * width]
        top = within[-1] if within else usable[0]
        chosen.append(top)
    return chosen


def _at(first: int, end: int) -> int:
    """The row of the gutter's middle, or next to it, where a block begins."""
    middle = (first + end) // 2
    block = middle - middle % BLOCK
    return block if block >= first else middle


def slice_strip(page: Path, unfinished: Path, made: Path) -> list[Path]:
    """Write the pieces of a long strip, named after `made`, in its own type where nothing is lost by that.

    The page alone where there is nothing to cut. Raises `OSError`.
    """
    rows = cuts(page)
    if not rows:
        return [page]
    pieces = []
    with Image.open(page) as image:
        edges = pairwise([0, *rows, image.height])
        for number, (top, bottom) in enumerate(edges, start=1):
            piece = image.crop((0, top, image.width, bottom))
            suffix = _save(piece, image, unfinished)
            pieces.append(unfinished.rename(made.with_name(f"{made.stem}-{number:02}.{suffix}")))
    return pieces


def _save(piece: Image.Image, whole: Image.Image, target: Path) -> str:
    """Save the piece as its strip was; its suffix."""
    tables = getattr(whole, "quantization", None)
    if whole.format == "JPEG" and tables:
        # With the strip's own tables, the same blocks come out as they went in.
        piece.save(target, "JPEG", qtables=tables, subsampling=_subsampling(whole))
        return "jpg"
    if whole.format == "WEBP":
        piece.save(target, "WEBP", lossless=True, method=4)
        return "webp"
    piece.save(target, "PNG")
    return "png"


def _subsampling(image: Image.Image) -> int:
    found: int = get_sampling(image)  # type: ignore[no-untyped-call, unused-ignore]
    return max(found, 0)
