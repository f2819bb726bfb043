"""Draws the demo library's pages: the same call gives the same bytes every time."""

import io
import math
import random
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from tasks.sources.demo_stories import Story

MARGIN = 24
PAPER = (250, 247, 240)
INK = (38, 40, 52)
SKIES = (
    ((246, 201, 164), (126, 150, 196)),
    ((190, 220, 238), (92, 142, 190)),
    ((252, 222, 170), (214, 120, 110)),
    ((120, 128, 176), (34, 40, 76)),
    ((214, 232, 222), (116, 168, 172)),
)
"""Colours of a sky at the horizon and overhead: dawn, day, dusk, night, mist."""
NIGHT = 3
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


def draw(story: Story, place: int, page: int) -> bytes:
    """The picture of that page (from 1) of the chapter at that place, in the story's image type."""
    chance = random.Random(f"{story.id}/{place}/{page}")  # noqa: S311 - a picture, not a secret
    image = Image.new("RGB", story.size, PAPER)
    lines = story.chapters[place].lines
    boxes = _panels(story, chance)
    for n, box in enumerate(boxes):
        panel = _panel(story, (box[2] - box[0], box[3] - box[1]), chance)
        image.paste(panel, box[:2])
        ImageDraw.Draw(image).rectangle(box, outline=INK, width=4)
        for m in range(_bubbles(story)):
            line = lines[((page - 1) * len(boxes) * _bubbles(story) + n + m) % len(lines)]
            _bubble(image, box, line, chance, m)
    _page_number(image, f"{story.title} · {story.chapters[place].number} · {page}")
    return _encode(image, story.image_type)


def _bubbles(story: Story) -> int:
    return 4 if story.panels == 1 else 1


def _panels(story: Story, chance: random.Random) -> list[Box]:
    """Rows of one or two panels, of uneven heights; a strip is one panel."""
    width, height = story.size
    if story.panels == 1:
        return [(0, 0, width, height)]
    rows = [1] * story.panels if story.panels < 4 else chance.choice([[1, 2, 1], [2, 1, 1], [1, 1, 2]])
    weights = [chance.uniform(0.8, 1.3) for _ in rows]
    free = height - MARGIN * (len(rows) + 1) - 30
    boxes = []
    top = MARGIN
    for columns, weight in zip(rows, weights, strict=True):
        tall = int(free * weight / sum(weights))
        wide = (width - MARGIN * (columns + 1)) // columns
        boxes += [
            (MARGIN + column * (wide + MARGIN), top, MARGIN + column * (wide + MARGIN) + wide, top + tall)
            for column in range(columns)
        ]
        top += tall + MARGIN
    return boxes


def _panel(story: Story, size: tuple[int, int], chance: random.Random) -> Image.Image:
    mood = chance.randrange(len(SKIES))
    panel = _sky(size, mood)
    pen = ImageDraw.Draw(panel)
    if mood == NIGHT:
        _stars(pen, size, chance)
    _sun(pen, size, mood, chance)
    for _ in range(3 if size[1] < 2000 else 24):
        _cloud(
            pen,
            chance.randrange(size[0]),
            chance.randrange(int(size[1] * (0.4 if size[1] < 2000 else 0.95))),
            chance,
            mood,
        )
    {"sea": _sea, "hills": _hills, "sky": _boat}[story.scene](pen, size, mood, chance)
    return panel


def _sky(size: tuple[int, int], mood: int) -> Image.Image:
    low, high = SKIES[mood]
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), high)
    column.putpixel((0, 1), low)
    return column.resize(size, Image.Resampling.BICUBIC)


def _shade(colour: Colour, amount: float) -> Colour:
    red, green, blue = (max(0, min(255, int(part * amount))) for part in colour)
    return red, green, blue


def _stars(pen: ImageDraw.ImageDraw, size: tuple[int, int], chance: random.Random) -> None:
    for _ in range(size[0] * size[1] // 9000):
        x, y, r = chance.randrange(size[0]), chance.randrange(int(size[1] * 0.8)), chance.choice([1, 1, 2])
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(255, 250, 220))


def _sun(pen: ImageDraw.ImageDraw, size: tuple[int, int], mood: int, chance: random.Random) -> None:
    x, r = int(size[0] * chance.uniform(0.2, 0.8)), min(size) // 10
    y = int(min(size[1], 1200) * chance.uniform(0.15, 0.35))
    colour = (250, 244, 214) if mood == NIGHT else (255, 238, 190)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _cloud(pen: ImageDraw.ImageDraw, x: int, y: int, chance: random.Random, mood: int) -> None:
    colour = _shade((255, 252, 246), 0.45 if mood == NIGHT else 1.0)
    for n in range(4):
        r = chance.randrange(14, 34)
        pen.ellipse((x + n * 26 - r, y - r * 0.6, x + n * 26 + r, y + r * 0.6), fill=colour)


def _ridge(size: tuple[int, int], base: float, swing: float, chance: random.Random) -> list[tuple[float, float]]:
    phase, waves = chance.uniform(0, 6.3), chance.uniform(1.0, 2.2)
    top = [
        (x, size[1] * (base + swing * math.sin(phase + waves * 6.3 * x / size[0]))) for x in range(0, size[0] + 8, 8)
    ]
    return [*top, (size[0], size[1]), (0, size[1])]


def _hills(pen: ImageDraw.ImageDraw, size: tuple[int, int], mood: int, chance: random.Random) -> None:
    light = 0.5 if mood == NIGHT else 1.0
    for n, green in enumerate(((156, 186, 150), (118, 160, 118), (84, 130, 92))):
        pen.polygon(_ridge(size, 0.55 + 0.15 * n, 0.06, chance), fill=_shade(green, light))
        if n == 1:
            _house(pen, int(size[0] * chance.uniform(0.1, 0.8)), int(size[1] * 0.72), light)
    for _ in range(5):
        x, y = chance.randrange(size[0]), int(size[1] * chance.uniform(0.84, 0.97))
        pen.rectangle((x - 3, y - 26, x + 3, y), fill=_shade((110, 84, 62), light))
        pen.ellipse((x - 16, y - 62, x + 16, y - 18), fill=_shade((62, 108, 74), light))
    _walker(pen, int(size[0] * chance.uniform(0.25, 0.75)), int(size[1] * 0.93))


def _house(pen: ImageDraw.ImageDraw, x: int, y: int, light: float) -> None:
    pen.rectangle((x, y - 34, x + 52, y), fill=_shade((240, 228, 206), light))
    pen.polygon([(x - 8, y - 34), (x + 26, y - 66), (x + 60, y - 34)], fill=_shade((184, 74, 62), light))
    pen.rectangle((x + 20, y - 20, x + 32, y), fill=_shade((110, 84, 62), light))


def _walker(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    pen.rounded_rectangle((x - 12, y - 56, x + 12, y - 16), 10, fill=(52, 74, 122))
    pen.ellipse((x - 10, y - 80, x + 10, y - 58), fill=(240, 206, 176))
    pen.pieslice((x - 13, y - 86, x + 13, y - 62), 180, 360, fill=(52, 74, 122))
    pen.rectangle((x + 8, y - 46, x + 28, y - 26), fill=(170, 118, 70))
    pen.line((x - 6, y - 16, x - 8, y), fill=INK, width=5)
    pen.line((x + 6, y - 16, x + 8, y), fill=INK, width=5)


def _sea(pen: ImageDraw.ImageDraw, size: tuple[int, int], mood: int, chance: random.Random) -> None:
    light = 0.55 if mood == NIGHT else 1.0
    horizon = int(size[1] * 0.6)
    for n in range(7):
        pen.polygon(
            _ridge(size, 0.6 + 0.06 * n, 0.006, chance), fill=_shade((108 - 8 * n, 160 - 10 * n, 184 - 8 * n), light)
        )
    x = int(size[0] * chance.uniform(0.1, 0.7))
    _lighthouse(pen, (x, horizon + size[1] // 5), size[1] // 2, light, lit=mood == NIGHT)
    _cat(pen, x + 90, horizon + size[1] // 5)


def _lighthouse(pen: ImageDraw.ImageDraw, foot: tuple[int, int], tall: int, light: float, *, lit: bool) -> None:
    x, low_end = foot
    pen.ellipse((x - 70, low_end - 26, x + 200, low_end + 44), fill=_shade((112, 104, 100), light))
    for n in range(5):
        colour = (206, 84, 72) if n % 2 else (246, 240, 230)
        top, low = low_end - tall * (n + 1) // 6, low_end - tall * n // 6
        pen.polygon(
            [(x + 3 * n, low), (x + 56 - 3 * n, low), (x + 53 - 3 * n, top), (x + 3 + 3 * n, top)],
            fill=_shade(colour, light),
        )
    top = low_end - tall * 5 // 6
    if lit:
        pen.polygon([(x + 28, top - 12), (x + 620, top - 120), (x + 620, top + 60)], fill=(236, 220, 150))
    pen.rectangle((x + 12, top - 26, x + 44, top), fill=(255, 226, 130))
    pen.polygon([(x + 6, top - 26), (x + 28, top - 48), (x + 50, top - 26)], fill=_shade((90, 66, 66), light))


def _cat(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    fur = (58, 54, 62)
    pen.arc((x + 22, y - 40, x + 54, y), 90, 300, fill=fur, width=6)
    pen.ellipse((x, y - 40, x + 36, y + 4), fill=fur)
    pen.ellipse((x + 2, y - 66, x + 34, y - 34), fill=fur)
    for ear in (x + 4, x + 22):
        pen.polygon([(ear, y - 56), (ear + 5, y - 76), (ear + 12, y - 60)], fill=fur)
    for eye in (x + 11, x + 25):
        pen.ellipse((eye - 3, y - 54, eye + 3, y - 48), fill=(240, 214, 120))


def _boat(pen: ImageDraw.ImageDraw, size: tuple[int, int], mood: int, chance: random.Random) -> None:
    light = 0.8 if mood == NIGHT else 1.0
    for y in range(700, size[1] - 300, 1250):
        x = int(size[0] * chance.uniform(0.2, 0.6))
        pen.polygon([(x, y), (x + 200, y), (x + 150, y + 60), (x + 50, y + 60)], fill=_shade((252, 250, 244), light))
        pen.polygon([(x + 50, y), (x + 100, y - 110), (x + 150, y)], fill=_shade((230, 224, 214), light))
        pen.line([(x, y), (x + 100, y + 20), (x + 200, y)], fill=(180, 172, 162), width=3)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _bubble(image: Image.Image, box: Box, line: str, chance: random.Random, place: int) -> None:
    """A speech bubble near the panel's top; in a strip, one after the other down the page."""
    pen, font = ImageDraw.Draw(image), _font(24)
    width = int(pen.textlength(line, font=font)) + 44
    x = min(box[0] + 20 + chance.randrange(60), box[2] - width - 12)
    y = box[1] + 22 + place * 1250 + (260 if box[3] - box[1] > 2000 else 0)
    pen.polygon([(x + 50, y + 50), (x + 90, y + 50), (x + 84, y + 84)], fill="white", outline=INK)
    pen.rounded_rectangle((x, y, x + width, y + 56), 26, fill="white", outline=INK, width=3)
    pen.polygon([(x + 53, y + 48), (x + 87, y + 48), (x + 83, y + 56)], fill="white")
    pen.text((x + 22, y + 28), line, fill=INK, font=font, anchor="lm")


def _page_number(image: Image.Image, text: str) -> None:
    pen = ImageDraw.Draw(image)
    pen.text((image.width // 2, image.height - 20), text, fill=(120, 116, 110), font=_font(18), anchor="mm")


def _encode(image: Image.Image, image_type: str) -> bytes:
    target = io.BytesIO()
    options = {"JPEG": {"quality": 88}, "PNG": {"compress_level": 3}, "WEBP": {"quality": 82, "method": 2}}[image_type]
    image.save(target, image_type, **options)
    return target.getvalue()
