"""Long strips: cut between panels, never through one."""

import hashlib
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image, ImageDraw

from tasks.archives.parts import ChapterPages, PageFile, Part
from tasks.archives.pdf import write_pdf
from tasks.archives.strips import BLOCK, cuts, slice_strip
from tasks.archives.zip import Archive
from tasks.models import ArchiveFormat, Chapter, DownloadRequest

WIDTH = 400
PANELS = [(0, 500), (560, 1100), (1150, 1400), (1480, 3200), (3260, 3800), (3830, 4400)]
"""First and last row of each panel of the strip; what is between them is white."""


def strip(path: Path, kind: str = "JPEG", panels: list[tuple[int, int]] = PANELS) -> Path:
    noise = Image.effect_noise((WIDTH, panels[-1][1]), 90).convert("RGB")
    image = Image.new("RGB", noise.size, "white")
    for first, last in panels:
        image.paste(noise.crop((0, first, WIDTH, last)), (0, first))
        ImageDraw.Draw(image).rectangle((0, first, WIDTH - 1, last - 1), outline="black", width=3)
    more = {"quality": 90} if kind == "JPEG" else {}
    image.save(path, kind, **more)
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_cuts_are_in_gutters_and_pieces_are_readable(tmp_path: Path, kind: str) -> None:
    rows = cuts(strip(tmp_path / "1", kind))
    assert len(rows) >= 4
    for row in rows:
        assert not any(first < row < last for first, last in PANELS), row
    heights = [after - before for before, after in zip([0, *rows], [*rows, 4400], strict=True)]
    # The panel that is longer than a page stays whole.
    assert max(heights) >= 1720
    assert sum(height > 1.5 * WIDTH for height in heights) == 1


@pytest.mark.parametrize("size", [(400, 600), (400, 1100)])
def test_a_page_that_is_no_strip_stays_as_it_is(tmp_path: Path, size: tuple[int, int]) -> None:
    page = tmp_path / "1.png"
    Image.new("L", size, 255).save(page)
    assert slice_strip(page, tmp_path / "part", tmp_path / "1.page") == [page]


def test_a_strip_without_gutters_stays_whole(tmp_path: Path) -> None:
    page = strip(tmp_path / "1.jpg", panels=[(0, 4400)])
    assert slice_strip(page, tmp_path / "part", tmp_path / "1.page") == [page]


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("BMP", ".png")])
def test_pieces_make_up_the_strip_and_are_the_same_each_time(tmp_path: Path, kind: str, suffix: str) -> None:
    page = strip(tmp_path / "1", kind)
    pieces = slice_strip(page, tmp_path / "part", tmp_path / "0001.page")
    assert [piece.name for piece in pieces][:2] == [f"0001-01{suffix}", f"0001-02{suffix}"]
    digests = [hashlib.sha256(piece.read_bytes()).digest() for piece in pieces]
    again = slice_strip(page, tmp_path / "part", tmp_path / "0001.page")
    assert [hashlib.sha256(piece.read_bytes()).digest() for piece in again] == digests
    with Image.open(page) as whole:
        joined, top = Image.new("RGB", whole.size), 0
        for piece in pieces:
            with Image.open(piece) as picture:
                joined.paste(picture.convert("RGB"), (0, top))
                top += picture.height
        assert top == whole.height
        pairs = zip(joined.tobytes(), whole.convert("RGB").tobytes(), strict=True)
        differences = [abs(one - other) for one, other in pairs]
    # A JPEG's blocks come out as they went in, but for what is rounded between its colours and ours.
    assert sum(differences) / len(differences) < (0.5 if kind == "JPEG" else 1e-9)
    assert all(row % BLOCK == 0 for row in cuts(page))


def test_a_pdf_shows_parts_of_one_picture_that_is_as_it_was(tmp_path: Path) -> None:
    page = strip(tmp_path / "1.jpg")
    other = tmp_path / "2.png"
    Image.new("L", (40, 60)).save(other)
    pages = [PageFile.of(n, path) for n, path in ((1, page), (2, other))]
    chapter = ChapterPages(Chapter(id="c", number="1"), "Chapter 0001", 2, pages)
    request = DownloadRequest(source="demo", title="x", chapters=(), format=ArchiveFormat.PDF, right_to_left=True)
    second = ChapterPages(Chapter(id="d", number="2"), "Chapter 0002", 1, [PageFile.of(1, other)])
    write_pdf(Archive(request, Part([chapter, second]), [], 1, 1), tmp_path / "p", tmp_path / "x.pdf", lambda: None)
    expected = len(cuts(page)) + 1
    with pikepdf.open(tmp_path / "x.pdf") as pdf:
        assert len(pdf.pages) == expected + 2
        assert str(pdf.Root.ViewerPreferences.Direction) == "/R2L"
        shown = [next(iter(one.get_images().values())) for one in pdf.pages][:expected]
        assert len({one.objgen for one in shown}) == 1
        assert shown[0].read_raw_bytes() == page.read_bytes()
        boxes = [[float(side) for side in one.mediabox] for one in pdf.pages][:expected]
        assert [box[1] for box in boxes[:-1]] == [box[3] for box in boxes[1:]]
        assert boxes[-1][1] == 0
        with pdf.open_outline() as outline:
            found: list[Any] = [item.destination for item in outline.root]
        assert [pdf.pages.index(pikepdf.Page(destination[0])) for destination in found] == [0, expected + 1]
    # What was made on the way is gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.jpg", "2.png", "x.pdf"]
