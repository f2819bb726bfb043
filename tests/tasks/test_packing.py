"""From pages to files."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tasks.archives.image import check_image
from tasks.archives.parts import ChapterPages
from tasks.errors import NothingDownloaded
from tasks.jobs.job import Result
from tasks.models import ArchiveFormat, Chapter, DownloadRequest, Quality
from tasks.packing import Packer
from tasks.page_folder import PageFolder
from tasks.workspace import JobFolder
from tests.tasks.test_page_folder import picture, put


def undecodable() -> bytes:
    """A PNG whose structure and checksums are right, and whose picture is not."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 2000, 900, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"nonsense" * 50) + chunk(b"IEND", b"")


def pack(tmp_path: Path, bodies: list[bytes], format_: ArchiveFormat, quality: Quality) -> Result:
    chapter = Chapter(id="c1", number="1")
    request = DownloadRequest(source="demo", title="x", chapters=(chapter,), format=format_, quality=quality)
    pages = PageFolder(tmp_path / "chapter", 1)
    pages.open()
    stored = [put(pages, number, body) for number, body in enumerate(bodies, start=1)]
    with Packer(request, JobFolder(tmp_path / "job", 1), shrink=quality is not Quality.ORIGINAL) as packer:
        packer.add(ChapterPages(chapter, "Chapter 0001", len(stored), stored), lambda: None)
        return packer.finish([], lambda: None)


@pytest.mark.parametrize(
    ("format_", "quality"), [(ArchiveFormat.ZIP, Quality.SMALLER), (ArchiveFormat.CBZ, Quality.WEBP)]
)
def test_a_page_that_can_not_be_made_over_is_named(tmp_path: Path, format_: ArchiveFormat, quality: Quality) -> None:
    assert check_image_of(tmp_path, undecodable()) == ".png"
    result = pack(tmp_path, [picture(1), undecodable(), picture(2)], format_, quality)
    assert [(one.pages, one.failure.code) for one in result.missing] == [((2,), "page_broken")]
    assert result.pages == 2
    # As it is, it is delivered: whoever looks at it may see more than we do.
    whole = pack(tmp_path / "as-it-is", [picture(1), undecodable()], ArchiveFormat.ZIP, Quality.ORIGINAL)
    assert (whole.pages, whole.missing) == (2, ())


def test_nothing_is_packed_where_no_page_can_be_made_over(tmp_path: Path) -> None:
    with pytest.raises(NothingDownloaded):
        pack(tmp_path, [undecodable()], ArchiveFormat.ZIP, Quality.SMALLER)


def test_what_ends_early_leaves_no_file(tmp_path: Path) -> None:
    class Enough(Exception):
        """Ends it."""

    def stop() -> None:
        raise Enough

    chapter = Chapter(id="c1", number="1")
    request = DownloadRequest(source="demo", title="x", chapters=(chapter,))
    pages = PageFolder(tmp_path / "chapter", 1)
    pages.open()
    stored = [put(pages, 1, picture(1))]
    with pytest.raises(Enough), Packer(request, JobFolder(tmp_path / "job", 1), shrink=False) as packer:
        packer.add(ChapterPages(chapter, "Chapter 0001", 1, stored), stop)
    (left,) = (tmp_path / "job" / "files").iterdir()
    assert left.suffix == ".part"
    assert not zipfile.is_zipfile(left)


def check_image_of(tmp_path: Path, body: bytes) -> str:
    (tmp_path / "page").write_bytes(body)
    return check_image(tmp_path / "page")
