"""PDFs whose pages are a picture each. Apart, as what reads them takes a tenth of a worker's memory."""

import io
from pathlib import Path

import pikepdf

from tasks.archives.image import MAX_PIXELS
from tasks.errors import NoPages, PageBroken, PageGone, PageTooLarge


def count(pdf: Path, source: str) -> int:
    """How many pages there are. Raises `NoPages`."""
    try:
        with pikepdf.open(pdf) as opened:
            return len(opened.pages)
    except pikepdf.PdfError as error:
        raise NoPages(source=source) from error


def picture(pdf: Path, number: int, source: str) -> bytes:
    """The picture on the page of that number, from 1. Raises `PageError`."""
    taken = io.BytesIO()
    try:
        with pikepdf.open(pdf) as opened:
            if not 1 <= number <= len(opened.pages):
                raise PageGone(source=source)
            images = list(opened.pages[number - 1].get_images().values())
            if len(images) != 1 or not isinstance(images[0], pikepdf.Stream):
                raise PageBroken(f"{len(images)} pictures on a page", source=source)
            found = pikepdf.PdfImage(images[0])
            if found.width * found.height > MAX_PIXELS:
                raise PageTooLarge(source=source)
            found.extract_to(stream=taken)
    except (pikepdf.PdfError, pikepdf.UnsupportedImageTypeError, NotImplementedError, ValueError) as error:
        raise PageBroken(str(error), source=source) from error
    return taken.getvalue()
