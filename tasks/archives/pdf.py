"""The PDF: a page for each page, JPEGs with their own bytes, a bookmark for each chapter, `manifest.json` attached."""

from pathlib import Path

import img2pdf
import pikepdf

from tasks.archives.zip import MANIFEST, Archive, Checkpoint, file_entries, manifest

POINTS_A_PIXEL = 72 / 96
LONGEST_SIDE = 14_400.0
"""Points; longer pages are no valid PDF."""


def write_pdf(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    """Write the archive to `unfinished`, read it back, and rename it to `file`. Its pages are JPEGs or PNGs without alpha.

    Blocks, and holds a file's pages in memory: they are at most what a chat takes. Raises `OSError`.
    """
    pages = [str(page.path) for chapter in archive.part.chapters for page in chapter.pages]
    checkpoint()
    with unfinished.open("wb") as target:
        img2pdf.convert(
            pages,
            outputstream=target,
            layout_fun=_layout,
            rotation=img2pdf.Rotation.ifvalid,
            nodate=True,
            title=archive.request.title,
        )
    checkpoint()
    with pikepdf.open(unfinished, allow_overwriting_input=True) as pdf:
        _add_bookmarks(pdf, archive)
        chapters = [file_entries(chapter) for chapter in archive.part.chapters]
        text = manifest(archive, chapters).encode()
        pdf.attachments[MANIFEST] = pikepdf.AttachedFileSpec(pdf, text, filename=MANIFEST)
        pdf.save(unfinished, deterministic_id=True)
    with pikepdf.open(unfinished) as written:
        if len(written.pages) != len(pages):
            raise OSError(f"{len(pages)} pages were written to {file.name} and {len(written.pages)} are in it")
    unfinished.rename(file)


def _add_bookmarks(pdf: pikepdf.Pdf, archive: Archive) -> None:
    first = 0
    with pdf.open_outline() as outline:
        for chapter in archive.part.chapters:
            outline.root.append(pikepdf.OutlineItem(chapter.folder, first))
            first += len(chapter.pages)


def _layout(width: int, height: int, _: tuple[float, float]) -> tuple[float, float, float, float]:
    scale = min(POINTS_A_PIXEL, LONGEST_SIDE / max(width, height))
    size = (width * scale, height * scale)
    return (*size, *size)
