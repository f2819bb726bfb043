"""The EPUB 3 in fixed layout: a page for each page, the pages' own bytes, contents by chapter, `manifest.json`."""

import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

from tasks.archives.parts import PageFile
from tasks.archives.zip import MANIFEST, Archive, Checkpoint, entry, manifest, told, validate, write_page

TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".gif": "image/gif"}
"""Types every reader of EPUB 3 shows; WebP came with 3.3."""
NAMES = uuid.UUID("6b0e5d0e-3c5b-4c0c-9a3c-6f6d616e6877")
CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{title}</title>
<meta name="viewport" content="width={width}, height={height}"/>
<style>body {{ margin: 0 }} img {{ display: block; width: 100%; height: 100% }}</style></head>
<body><img src="{image}" alt="{title}"/></body></html>
"""
NAV = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><head><title>{title}</title></head>
<body><nav epub:type="toc"><ol>
{items}
</ol></nav></body></html>
"""
PACKAGE = """<?xml version="1.0" encoding="UTF-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:language>{language}</dc:language>
<meta property="dcterms:modified">1980-01-01T00:00:00Z</meta>
<meta property="rendition:layout">pre-paginated</meta>
<meta property="rendition:spread">auto</meta>
</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="manifest" href="manifest.json" media-type="application/json"/>
{items}
</manifest>
<spine{direction}>
{spine}
</spine>
</package>
"""


@dataclass(frozen=True)
class _Leaf:
    """One page: its number in the book, from 1, and the name of its chapter."""

    number: int
    page: PageFile
    chapter: str

    @property
    def image(self) -> str:
        return f"images/{self.number:05}{self.page.suffix}"

    @property
    def document(self) -> str:
        return f"{self.number:05}.xhtml"


def write_epub(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    """Write the archive to `unfinished`, read it back, and rename it to `file`. Its pages have one of `TYPES`.

    Blocks for as long as it takes. Raises `OSError`.
    """
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as target:
        target.writestr(entry("mimetype"), "application/epub+zip")
        target.writestr(entry("META-INF/container.xml"), CONTAINER)
        leaves: list[_Leaf] = []
        starts, chapters = [], []
        for chapter in archive.part.chapters:
            own = [_Leaf(n, page, chapter.folder) for n, page in enumerate(chapter.pages, len(leaves) + 1)]
            leaves += own
            starts.append((chapter.folder, own[0].document))
            chapters.append(chapter.told([write_page(target, leaf.image, leaf.page, checkpoint) for leaf in own]))
            for leaf in own:
                _write_text(target, leaf.document, _document(leaf))
        _write_text(target, "nav.xhtml", _nav(archive, starts))
        _write_text(target, "content.opf", _package(archive, leaves))
        _write_text(target, MANIFEST, manifest(archive, chapters))
    validate(unfinished, [told(entry) for entry in target.infolist()])
    unfinished.rename(file)


def _write_text(target: zipfile.ZipFile, name: str, text: str) -> None:
    target.writestr(entry(name), text, compress_type=zipfile.ZIP_DEFLATED)


def _document(leaf: _Leaf) -> str:
    with Image.open(leaf.page.path) as image:
        width, height = image.size
    title = escape(f"{leaf.chapter}, {leaf.page.number}", {'"': "&quot;"})
    return PAGE.format(title=title, width=width, height=height, image=leaf.image)


def _nav(archive: Archive, starts: list[tuple[str, str]]) -> str:
    items = [f'<li><a href="{document}">{escape(name)}</a></li>' for name, document in starts]
    return NAV.format(title=_title(archive), items="\n".join(items))


def _package(archive: Archive, leaves: list[_Leaf]) -> str:
    items, spine = [], []
    for leaf in leaves:
        cover = ' properties="cover-image"' if leaf.number == 1 else ""
        kind = TYPES[leaf.page.suffix]
        items.append(f'<item id="i{leaf.number}" href="{leaf.image}" media-type="{kind}"{cover}/>')
        items.append(f'<item id="p{leaf.number}" href="{leaf.document}" media-type="application/xhtml+xml"/>')
        spine.append(f'<itemref idref="p{leaf.number}"/>')
    return PACKAGE.format(
        identifier=uuid.uuid5(NAMES, f"{archive.request.key}/{archive.number}"),
        title=_title(archive),
        language=escape(archive.part.language or "und"),
        items="\n".join(items),
        direction={True: ' page-progression-direction="rtl"', False: ' page-progression-direction="ltr"', None: ""}[
            archive.request.right_to_left
        ],
        spine="\n".join(spine),
    )


def _title(archive: Archive) -> str:
    return escape("".join(c for c in archive.request.title if c.isprintable()).strip() or "Untitled")
