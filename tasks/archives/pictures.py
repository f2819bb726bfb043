"""Pages in another form, where somebody asked for smaller ones or a format takes only some types. Same input, same bytes."""

from pathlib import Path

from PIL import Image

WIDTH = 1200
"""Pixels; wider than any phone shows."""
QUALITY = 80
LONGEST_JPEG = 65_000


def make_smaller(page: Path, unfinished: Path, smaller: Path) -> Path:
    """Write a JPEG of the page, at most `WIDTH` pixels wide, to `smaller`; the page itself where that is no smaller.

    What moves or is too long for a JPEG stays as it is. Raises `OSError`.
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
    return unfinished.rename(smaller.with_suffix(".jpg"))


def make_opaque(page: Path, unfinished: Path, opaque: Path) -> Path:
    """The page as a JPEG or a PNG without transparency: itself if it is one, else a PNG at `opaque` with nothing lost.

    Of what moves the first picture. Raises `OSError`.
    """
    with Image.open(page) as image:
        if image.format == "JPEG" or (image.format == "PNG" and not image.has_transparency_data):
            return page
        _on_white(image).save(unfinished, "PNG")
    return unfinished.rename(opaque.with_suffix(".png"))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in {"L", "RGB"} and not image.has_transparency_data:
        return image.copy()
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
