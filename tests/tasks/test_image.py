"""Pages are judged by their bytes."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tasks.archives.image import check_image
from tasks.errors import PageBroken, PageTooLarge


def picture(kind: str, mode: str = "RGB") -> bytes:
    target = io.BytesIO()
    Image.effect_noise((120, 160), 50).convert(mode).save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("GIF", ".gif"), ("AVIF", ".avif"), ("BMP", ".bmp")],
)
def test_a_whole_picture_has_the_type_its_bytes_say(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / "wrong-name.exe"
    path.write_bytes(picture(kind))
    assert check_image(path) == suffix


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_pictures_too(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "page"
    path.write_bytes(picture("JPEG", mode))
    assert check_image(path) == ".jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_a_picture_that_is_cut_short_is_broken(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page"
    whole = picture(kind)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PageBroken):
        check_image(path)


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"%PDF-1.7", b"\x00" * 100, b"<svg xmlns='x'/>"])
def test_what_is_no_picture_is_broken(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "page.jpg"
    path.write_bytes(body)
    with pytest.raises(PageBroken):
        check_image(path)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)))
    with pytest.raises(PageTooLarge):
        check_image(path)
