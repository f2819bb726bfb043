"""Is this file a whole picture, and of which type? By its bytes, never by its name."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tasks.errors import PageBroken, PageTooLarge

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "AVIF": "avif", "BMP": "bmp"}
"""Types a page may have, and what its file is called."""
MAX_PIXELS = 80_000_000
"""A strip of 800 by 100 000 fits; a decompression bomb is refused by its header, before it is decoded."""


def check_image(path: Path) -> str:
    """Decode the picture whole and return its file suffix, such as "jpg".

    Raises `PageBroken` for what is no picture of a known type or is cut short, `PageTooLarge` beyond `MAX_PIXELS`.
    """
    try:
        with Image.open(path, formats=tuple(SUFFIXES)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PageTooLarge(f"{image.width} x {image.height} pixels")
            # A JPEG is still read to its end, but takes an eighth of the memory each way.
            image.draft("RGB", (1, 1))
            image.load()
            return SUFFIXES[str(image.format)]
    except Image.DecompressionBombError as error:
        raise PageTooLarge(str(error)) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise PageBroken(str(error)) from error
