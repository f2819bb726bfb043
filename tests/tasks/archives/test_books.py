"""PDF and EPUB: pages as they are where the format takes them, contents by chapter, the same bytes for the same input."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pikepdf
import pytest
from PIL import Image

from tasks.archives.epub import write_epub
from tasks.archives.parts import ChapterPages, PageFile, Part
from tasks.archives.pdf import write_pdf
from tasks.archives.pictures import make_opaque
from tasks.archives.zip import Archive
from tasks.models import ArchiveFormat, Chapter, DownloadRequest
from tests.conftest import children

OPF = "{http://www.idpf.org/2007/opf}"


def save(path: Path, size: tuple[int, int] = (60, 90), mode: str = "RGB", kind: str = "") -> Path:
    Image.effect_noise(size, 60).convert(mode).save(path, kind or None)
    return path


def book(tmp_path: Path, format_: ArchiveFormat, files: list[list[Path]], title: str = "Post & <Hills>") -> Archive:
    chapters = []
    for n, paths in enumerate(files, start=1):
        pages = [PageFile.of(number, path) for number, path in enumerate(paths, start=1)]
        chapter = Chapter(id=f"c{n}", number=str(n), language="en")
        chapters.append(ChapterPages(chapter, f'Chapter {n:04} - "A" & <b>', len(pages), pages))
    request = DownloadRequest(source="demo", title=title, chapters=(), format=format_)
    return Archive(request, Part(chapters), [], 1, 1)


def never() -> None:
    """Nothing ends the writing."""


@pytest.mark.parametrize(("format_", "write"), [(ArchiveFormat.PDF, write_pdf), (ArchiveFormat.EPUB, write_epub)])
def test_the_same_input_gives_the_same_bytes(
    tmp_path: Path, format_: ArchiveFormat, write: Callable[..., None]
) -> None:
    archive = book(tmp_path, format_, [[save(tmp_path / "1.jpg"), save(tmp_path / "2.png")]])
    for name in ("a", "b"):
        write(archive, tmp_path / "part", tmp_path / name, never)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_pdf_has_a_page_for_each_page_and_a_bookmark_for_each_chapter(tmp_path: Path) -> None:
    photo = save(tmp_path / "1.jpg")
    strip = save(tmp_path / "3.png", (80, 30_000), "L")
    archive = book(tmp_path, ArchiveFormat.PDF, [[photo, save(tmp_path / "2.png", mode="L")], [strip]])
    write_pdf(archive, tmp_path / "part", tmp_path / "x.pdf", never)
    with pikepdf.open(tmp_path / "x.pdf") as pdf:
        assert len(pdf.pages) == 3
        assert str(pdf.docinfo["/Title"]) == "Post & <Hills>"
        assert max(float(side) for page in pdf.pages for side in page.mediabox) <= 14_400
        # The picture is in it as it was.
        image = next(iter(pdf.pages[0].get_images().values()))
        assert image.read_raw_bytes() == photo.read_bytes()
        with pdf.open_outline() as outline:
            assert [item.title for item in outline.root] == [f'Chapter {n:04} - "A" & <b>' for n in (1, 2)]
        manifest = json.loads(pdf.attachments["manifest.json"].get_file().read_bytes())
    assert [len(chapter["files"]) for chapter in manifest["chapters"]] == [2, 1]


def test_an_epub_is_whole_and_lists_its_chapters(tmp_path: Path) -> None:
    photo, moving = save(tmp_path / "1.jpg"), save(tmp_path / "2.gif", mode="L")
    archive = book(tmp_path, ArchiveFormat.EPUB, [[photo, moving], [save(tmp_path / "3.png", (300, 20))]])
    write_epub(archive, tmp_path / "part", tmp_path / "x.epub", never)
    with zipfile.ZipFile(tmp_path / "x.epub") as epub:
        first = epub.infolist()[0]
        assert (first.filename, first.compress_type, epub.read(first)) == ("mimetype", 0, b"application/epub+zip")
        assert epub.read("images/00001.jpg") == photo.read_bytes()
        package = ElementTree.fromstring(epub.read("content.opf"))  # noqa: S314 - our own
        listed = {item.attrib["href"] for item in package.iter(f"{OPF}item")}
        assert listed | {"mimetype", "META-INF/container.xml", "content.opf"} == set(epub.namelist())
        assert len(list(package.iter(f"{OPF}itemref"))) == 3
        nav = ElementTree.fromstring(epub.read("nav.xhtml"))  # noqa: S314 - our own
        anchors = [(a.text, a.attrib["href"]) for a in nav.iter("{http://www.w3.org/1999/xhtml}a")]
        assert anchors == [('Chapter 0001 - "A" & <b>', "00001.xhtml"), ('Chapter 0002 - "A" & <b>', "00003.xhtml")]
        assert b"width=300, height=20" in epub.read("00003.xhtml")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "RGB"])
def test_a_page_that_a_format_does_not_take_becomes_a_png(tmp_path: Path, mode: str) -> None:
    page = tmp_path / "1.png"
    image = Image.effect_noise((50, 70), 60).convert(mode)
    image.save(page, transparency=3 if mode == "P" else None)
    made = make_opaque(page, tmp_path / "part", tmp_path / "made.page", limit=10**9)
    assert (made == page) is (mode in {"1", "L", "RGB"})
    archive = book(tmp_path, ArchiveFormat.PDF, [[made]])
    write_pdf(archive, tmp_path / "part", tmp_path / "x.pdf", never)
    for kind in ("WEBP", "GIF", "BMP"):
        target = io.BytesIO()
        Image.effect_noise((50, 70), 60).save(target, kind)
        page.write_bytes(target.getvalue())
        made = make_opaque(page, tmp_path / "part", tmp_path / "made.page", limit=10**9)
        with Image.open(made) as opened:
            assert (opened.format, opened.size) == ("PNG", (50, 70))


def test_a_pdf_is_joined_beside_and_what_ends_it_ends_that_too(tmp_path: Path) -> None:
    archive = book(tmp_path, ArchiveFormat.PDF, [[save(tmp_path / f"{n}.jpg") for n in range(20)]])
    others = set(children(os.getpid()))

    def stop() -> None:
        if {*children(os.getpid())} - others:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pdf(archive, tmp_path / "part", tmp_path / "x.pdf", stop)
    assert {*children(os.getpid())} <= others
    assert [path.name for path in tmp_path.iterdir() if path.suffix in {".part", ".pdf"}] == []
