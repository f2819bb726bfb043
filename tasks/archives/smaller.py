"""Pages made smaller for those who asked for it."""

from pathlib import Path

from PIL import Image

WIDTH = 1200
"""Pixels; wider than any phone shows."""
QUALITY = 80
LONGEST_JPEG = 65_000


def make_smaller(page: Path, unfinished: Path, smaller: Path) -> Path:
    """Write a JPEG of the page, at most `WIDTH` pixels wide, to `smaller`; the page itself where that is no smaller.

    What moves or is too long for a JPEG stays as it is. Same input, same bytes. Raises `OSError`.
    """
    with Image.open(page) as image:
        scale = min(1.0, WIDTH / image.width)
        size = (round(image.width * scale), max(1, round(image.height * scale)))
        if getattr(image, "is_animated", False) or size[1] > LONGEST_JPEG:
            return page
        picture = _on_white(image)
    if scale < 1:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    picture.save(unfinished, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    if unfinished.stat().st_size >= page.stat().st_size:
        unfinished.unlink()
        return page
    return unfinished.rename(smaller)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"L", "RGB"}:
        return image.copy()
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
