"""Pages in another form, where somebody asked for smaller ones or a format takes only some types. Same input, same bytes."""

from pathlib import Path
from typing import Literal

from PIL import Image

QUALITY = 80
FINEST = 95
LONGEST = {"JPEG": 65_000, "WEBP": 16_383}
"""Pixels on a side."""
SUFFIX = {"JPEG": ".jpg", "WEBP": ".webp"}


def make_smaller(page: Path, unfinished: Path, smaller: Path, *, width: int, kind: Literal["JPEG", "WEBP"]) -> Path:
    """Write the page in that type, at most `width` pixels wide, to `smaller`; the page itself where that is no smaller.

    What moves, or is too long for the type, stays as it is. Raises `OSError`.
    """
    with Image.open(page) as image:
        scale = min(1.0, width / image.width)
        size = (round(image.width * scale), max(1, round(image.height * scale)))
        if getattr(image, "is_animated", False) or size[1] > LONGEST[kind]:
            return page
        picture = _on_white(image)
    if scale < 1:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    more = {"optimize": True, "progressive": True} if kind == "JPEG" else {"method": 4}
    picture.save(unfinished, kind, quality=QUALITY, **more)
    if unfinished.stat().st_size >= page.stat().st_size:
        unfinished.unlink()
        return page
    return unfinished.rename(smaller.with_suffix(SUFFIX[kind]))


def make_opaque(page: Path, unfinished: Path, opaque: Path, *, limit: int) -> Path:
    """The page as a JPEG or a PNG without transparency: itself if it is one, else a PNG at `opaque` with nothing lost.

    One that would have more than `limit` bytes becomes a JPEG. Of what moves the first picture. Raises `OSError`.
    """
    with Image.open(page) as image:
        if image.format == "JPEG" or (image.format == "PNG" and not image.has_transparency_data):
            return page
        picture = _on_white(image)
    picture.save(unfinished, "PNG")
    if unfinished.stat().st_size <= limit or picture.height > LONGEST["JPEG"]:
        return unfinished.rename(opaque.with_suffix(".png"))
    picture.save(unfinished, "JPEG", quality=FINEST)
    return unfinished.rename(opaque.with_suffix(".jpg"))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"L", "RGB"} and not image.has_transparency_data:
        return image.copy()
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
