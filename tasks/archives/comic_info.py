"""`ComicInfo.xml`, version 2.0 of the Anansi Project's schema: what comic readers show of a CBZ."""

from xml.etree import ElementTree as ET

from tasks.archives.names import chapter_range
from tasks.archives.parts import Part
from tasks.models import DownloadRequest


def comic_info(request: DownloadRequest, part: Part) -> bytes:
    """The file for one archive; number, volume and title only where it holds a single chapter."""
    chapters = [pages.chapter for pages in part.chapters]
    only = chapters[0] if len(chapters) == 1 else None
    whole_volume = only.volume.partition(".")[0] if only and only.volume else ""
    groups = sorted({group for chapter in chapters for group in chapter.groups})
    # In the order of the schema, which is a sequence.
    fields = {
        "Title": only.title if only else chapter_range(part.labels),
        "Series": request.title,
        "Number": (only.number if only else None) or "",
        "Volume": whole_volume,
        "PageCount": str(part.pages),
        "LanguageISO": part.language or "",
        "ScanInformation": ", ".join(groups),
    }
    root = ET.Element("ComicInfo")
    for name, text in fields.items():
        if text:
            ET.SubElement(root, name).text = "".join(c for c in text if c.isprintable())
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
