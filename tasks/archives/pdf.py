"""The PDF: a page for each page, JPEGs with their own bytes, a bookmark for each chapter, `manifest.json` attached.

A long strip is one picture that several pages show a part of each: cut at gutters, and nothing is encoded anew.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
STREAMED = pikepdf.AccessMode.stream
"""Not mapped into memory, where all of a large file would count as ours."""
AT_ONCE = 8
BYTES_AT_ONCE = 40_000_000
"""Pages whose bytes are in memory together, as long as there is more than one of them."""
JOIN = "import sys, pikepdf; pikepdf.Job(['pikepdf', '--empty', '--deterministic-id', *sys.argv[1:]]).run()"
LOOK_SECONDS = 0.2


def write_pdf(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    """Write the archive to `unfinished`, read it back, and rename it to `file`. Its pages are JPEGs or PNGs without alpha.

    Blocks for as long as it takes. Raises `OSError`.
    """
    pages = [page for chapter in archive.part.chapters for page in chapter.pages]
    joined = unfinished.with_name(f"{unfinished.stem}.joined.part")
    try:
        _join(pages, joined, checkpoint)
        with pikepdf.open(joined, access_mode=STREAMED) as pdf:
            starts = _cut_strips(pdf, pages, checkpoint)
            _add_bookmarks(pdf, archive, starts)
            _describe(pdf, archive)
            written = len(pdf.pages)
            pdf.save(unfinished, deterministic_id=True, progress=lambda _: checkpoint())
    finally:
        joined.unlink(missing_ok=True)
    _validate(unfinished, file.name, written)
    unfinished.rename(file)


def _join(pages: Sequence[PageFile], target: Path, checkpoint: Checkpoint) -> None:
    """Write a page for each page, with no more than a few of them in memory at a time."""
    batches: list[Path] = []
    try:
        for pages_of_one in _batches(pages):
            checkpoint()
            batches.append(target.with_name(f"{target.stem}.{len(batches)}.part"))
            _write_batch(pages_of_one, batches[-1])
        _join_files(batches, target, checkpoint)
    finally:
        for batch in batches:
            batch.unlink(missing_ok=True)


def _batches(pages: Sequence[PageFile]) -> Iterator[Sequence[PageFile]]:
    batch: list[PageFile] = []
    for page in pages:
        if batch and (len(batch) == AT_ONCE or sum(one.size for one in [*batch, page]) > BYTES_AT_ONCE):
            yield batch
            batch = []
        batch.append(page)
    yield batch


def _join_files(files: Sequence[Path], target: Path, checkpoint: Checkpoint) -> None:
    """Not by appending pages to a document, which keeps the bytes of all of them.

    In a process of its own: nothing else runs in the one that joins, and for gigabytes that takes longer than a lease lasts.
    """
    words = [sys.executable, "-c", JOIN, "--pages", *map(str, files), "--", str(target)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, errors="replace") as joining:  # noqa: S603 - our own
        try:
            while joining.poll() is None:
                checkpoint()
                with suppress(subprocess.TimeoutExpired):
                    joining.wait(LOOK_SECONDS)
            said = joining.stderr.read() if joining.stderr else ""
        except BaseException:
            joining.kill()
            raise
    if joining.returncode:
        raise OSError(f"the pages can't be joined: {(said.strip() or str(joining.returncode)).splitlines()[-1]}")


def _write_batch(pages: Sequence[PageFile], target: Path) -> None:
    with target.open("wb") as output:
        img2pdf.convert(
            [str(page.path) for page in pages],
            outputstream=output,
            layout_fun=_layout,
            rotation=img2pdf.Rotation.ifvalid,
            nodate=True,
        )


def _cut_strips(pdf: pikepdf.Pdf, pages: Sequence[PageFile], checkpoint: Checkpoint) -> dict[PageFile, int]:
    """Put a page for each of its parts in the place of a strip, which all show the same picture.

    Where each page begins, from 0.
    """
    starts: dict[PageFile, int] = {}
    place = 0
    for page in pages:
        checkpoint()
        starts[page] = place
        whole = pdf.pages[place]
        _, _, width, height = (float(side) for side in whole.mediabox)
        parts = [] if "/Rotate" in whole.obj else list(_parts(page.path, height))
        for more, (bottom, top) in enumerate(parts):
            if more:
                pdf.pages.insert(place + more, whole)
            pdf.pages[place + more].mediabox = pikepdf.Array([0, bottom, width, top])
        place += max(1, len(parts))
    return starts


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
    with pikepdf.open(unfinished, access_mode=STREAMED) as written:
        if len(written.pages) != pages:
            raise OSError(f"{pages} pages were written to {name} and {len(written.pages)} are in it")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())


def _layout(width: int, height: int, _: tuple[float, float]) -> tuple[float, float, float, float]:
    scale = min(POINTS_A_PIXEL, LONGEST_SIDE / max(width, height))
    size = (width * scale, height * scale)
    return (*size, *size)
