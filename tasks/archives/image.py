"""Is this file a whole picture, and of which type? By its bytes, never by its name."""

import os
from pathlib import Path
from typing import BinaryIO

# What is not imported is not met: asked for a type it has not met, Pillow would bring in all there are.
from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 - see TYPES

from tasks.errors import PageBroken, PageTooLarge

SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "AVIF": ".avif",
    "BMP": ".bmp",
    "MPO": ".jpg",
}
"""Types a page may have, and what its file is called."""
MAX_PIXELS = 80_000_000
"""A strip of 800 by 100 000 fits; a decompression bomb is refused by its header, before it is decoded."""


TYPES = tuple(kind for kind in SUFFIXES if kind not in {"MPO", "AVIF"})
"""A JPEG of several pictures is opened as one; what AVIF needs is brought in for the first one."""
AVIF_BOX = b"ftyp"
"""Of an AVIF, the bytes from the fifth on."""
BEGINNINGS = ((b"\x89PNG", ".png"), (b"RIFF", ".webp"), (b"GIF8", ".gif"), (b"BM", ".bmp"))
ENDINGS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""With these the last byte of a whole picture is told; what has more behind it is decoded."""


def check_image(picture: Path | BinaryIO) -> str:
    """The file suffix of a whole picture, such as ".jpg".

    Decoded only where its structure can't tell: that costs ten times what fetching it does.
    Raises `PageBroken` for what is no picture of a known type or is cut short, `PageTooLarge` beyond `MAX_PIXELS`.
    """
    if isinstance(picture, Path):
        with picture.open("rb") as file:
            return check_image(file)
    try:
        with Image.open(picture, formats=_types(picture)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PageTooLarge(f"{image.width} x {image.height} pixels")
            kind = str(image.format)
            if not _is_whole(image, kind, picture):
                # A JPEG is still read to its end, but takes an eighth of the memory each way.
                image.draft("RGB", (1, 1))
                image.load()
            return SUFFIXES[kind]
    except Image.DecompressionBombError as error:
        raise PageTooLarge(str(error)) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise PageBroken(str(error)) from error


def likely_suffix(head: bytes) -> str:
    """The suffix that a page beginning so has, if it is whole."""
    if head[4:8] == AVIF_BOX:
        return SUFFIXES["AVIF"]
    return next((suffix for beginning, suffix in BEGINNINGS if head.startswith(beginning)), SUFFIXES["JPEG"])


def _types(file: BinaryIO) -> tuple[str, ...]:
    """What the file may be."""
    here = file.tell()
    head = file.read(8)
    file.seek(here)
    if likely_suffix(head) != SUFFIXES["AVIF"]:
        return TYPES
    from PIL import AvifImagePlugin  # noqa: F401, PLC0415 - a megabyte and a half of a worker's memory

    return ("AVIF",)


def _is_whole(image: Image.Image, kind: str, file: BinaryIO) -> bool:
    """Whether it is all there; False where only decoding tells. A WebP is read to its end when it is opened."""
    if kind == "WEBP":
        return True
    if kind not in ENDINGS:
        return False
    ending = ENDINGS[kind]
    here = file.tell()
    file.seek(-len(ending), os.SEEK_END)
    is_whole = file.read() == ending
    file.seek(here)
    if is_whole and kind == "PNG":
        image.verify()  # the checksums of its chunks
    return is_whole
