"""`ComicInfo.xml`, version 2.0 of the Anansi Project's schema: what comic readers show of a CBZ."""

import io
from xml.etree import ElementTree as ET

from PIL import Image

from tasks.archives.names import chapter_range
from tasks.archives.parts import PageFile, Part
from tasks.models import DownloadRequest

DIRECTIONS = {True: "YesAndRightToLeft", False: "No", None: ""}


def comic_info(request: DownloadRequest, part: Part) -> bytes:
    """The file for one archive; number and title only where it holds a single chapter, the volume where all have one."""
    chapters = [pages.chapter for pages in part.chapters]
    only = chapters[0] if len(chapters) == 1 else None
    volumes = {(chapter.volume or "").partition(".")[0] for chapter in chapters}
    groups = sorted({group for chapter in chapters for group in chapter.groups})
    # In the order of the schema, which is a sequence.
    fields = {
        "Title": only.title if only else chapter_range(part.labels),
        "Series": request.title,
        "Number": (only.number if only else None) or "",
        "Volume": volumes.pop() if len(volumes) == 1 else "",
        "Web": (only.url if only else None) or request.url or "",
        "PageCount": str(part.images),
        "LanguageISO": part.language or "",
        "Manga": DIRECTIONS[request.right_to_left],
        "ScanInformation": ", ".join(groups),
    }
    root = ET.Element("ComicInfo")
    for name, text in fields.items():
        if text:
            ET.SubElement(root, name).text = "".join(c for c in text if c.isprintable())
    pages = ET.SubElement(root, "Pages")
    for place, page in enumerate(page for chapter in part.chapters for page in chapter.pages):
        ET.SubElement(pages, "Page", _page(place, page))
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _page(place: int, page: PageFile) -> dict[str, str]:
    """What is said of the page at that place, from 0: its size, and whether it is a spread."""
    with Image.open(io.BytesIO(page.read())) as image:
        width, height = image.size
    said = {"Image": str(place), "ImageSize": str(page.size), "ImageWidth": str(width), "ImageHeight": str(height)}
    return said | ({"DoublePage": "true"} if width > height else {})
