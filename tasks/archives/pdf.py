"""The PDF: a page for each page, JPEGs with their own bytes, a bookmark for each chapter, `manifest.json` attached.

A long strip is one picture that several pages show a part of each: cut at gutters, and nothing is encoded anew.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import img2pdf
import pikepdf
from PIL import Image

from tasks.archives.parts import PageFile
from tasks.archives.strips import cuts
from tasks.archives.zip import MANIFEST, Archive, Checkpoint, file_entries, manifest

POINTS_A_PIXEL = 72 / 96
LONGEST_SIDE = 14_400.0
"""Points; longer pages are no valid PDF."""
AT_ONCE = 8
"""Pages whose bytes are in memory together."""


def write_pdf(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    """Write the archive to `unfinished`, read it back, and rename it to `file`. Its pages are JPEGs or PNGs without alpha.

    Blocks for as long as it takes. Raises `OSError`.
    """
    pages = [page for chapter in archive.part.chapters for page in chapter.pages]
    batches = [pages[first : first + AT_ONCE] for first in range(0, len(pages), AT_ONCE)]
    with ExitStack() as stack, pikepdf.new() as pdf:
        starts: dict[PageFile, int] = {}
        for number, batch in enumerate(batches):
            checkpoint()
            part = unfinished.with_name(f"{unfinished.stem}.{number}.part")
            stack.callback(part.unlink, missing_ok=True)
            _write_batch(batch, part)
            # Stays open: what it holds is copied when all is saved, and never in memory as a whole.
            source = stack.enter_context(pikepdf.open(part))
            for page, made in zip(batch, source.pages, strict=True):
                starts[page] = len(pdf.pages)
                _add_page(pdf, made, page)
        _add_bookmarks(pdf, archive, starts)
        _describe(pdf, archive)
        written = len(pdf.pages)
        pdf.save(unfinished, deterministic_id=True, progress=lambda _: checkpoint())
    _validate(unfinished, file.name, written)
    unfinished.rename(file)


def _write_batch(pages: Sequence[PageFile], target: Path) -> None:
    with target.open("wb") as output:
        img2pdf.convert(
            [str(page.path) for page in pages],
            outputstream=output,
            layout_fun=_layout,
            rotation=img2pdf.Rotation.ifvalid,
            nodate=True,
        )


def _add_page(pdf: pikepdf.Pdf, made: pikepdf.Page, page: PageFile) -> None:
    """Add the page, or for a strip one page for each of its parts, which all show the same picture."""
    pdf.pages.append(made)
    added = pdf.pages[-1]
    _, _, width, height = (float(side) for side in added.mediabox)
    parts = [] if "/Rotate" in added.obj else list(_parts(page.path, height))
    for bottom, top in parts[1:]:
        pdf.pages.append(added)
        pdf.pages[-1].mediabox = pikepdf.Array([0, bottom, width, top])
    if parts:
        added.mediabox = pikepdf.Array([0, parts[0][0], width, parts[0][1]])


def _parts(strip: Path, height: float) -> Iterator[tuple[float, float]]:
    """Lower and upper edge of each part of a strip, in points from its bottom, the top one first."""
    rows = cuts(strip)
    if not rows:
        return
    with Image.open(strip) as image:
        scale, end = height / image.height, image.height
    for first, behind in pairwise([0, *rows, end]):
        yield round((end - behind) * scale, 3), round((end - first) * scale, 3)


def _add_bookmarks(pdf: pikepdf.Pdf, archive: Archive, starts: dict[PageFile, int]) -> None:
    with pdf.open_outline() as outline:
        for chapter in archive.part.chapters:
            outline.root.append(pikepdf.OutlineItem(chapter.folder, starts[chapter.pages[0]]))


def _describe(pdf: pikepdf.Pdf, archive: Archive) -> None:
    """Title, reading direction and manifest."""
    pdf.docinfo["/Title"] = pikepdf.String(archive.request.title)
    if archive.request.right_to_left:
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(Direction=pikepdf.Name.R2L)
    text = manifest(archive, [file_entries(chapter) for chapter in archive.part.chapters]).encode()
    pdf.attachments[MANIFEST] = pikepdf.AttachedFileSpec(pdf, text, filename=MANIFEST)


def _validate(unfinished: Path, name: str, pages: int) -> None:
    """Read it back, and see it to the disk. Raises `OSError`."""
    with pikepdf.open(unfinished) as written:
        if len(written.pages) != pages:
            raise OSError(f"{pages} pages were written to {name} and {len(written.pages)} are in it")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())


def _layout(width: int, height: int, _: tuple[float, float]) -> tuple[float, float, float, float]:
    scale = min(POINTS_A_PIXEL, LONGEST_SIDE / max(width, height))
    size = (width * scale, height * scale)
    return (*size, *size)
