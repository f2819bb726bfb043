"""The order of chapters. Pure."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tasks.models import Chapter

VOLUME = re.compile(r"\bv(?:ol(?:ume)?)?[ ._-]*0*(\d+)", re.IGNORECASE)
NUMBER = re.compile(r"(?:\bch?(?:ap(?:ter)?)?|#|\bepisode|\bep)[ ._-]*0*(\d+(?:\.\d+)?)", re.IGNORECASE)
BARE_NUMBER = re.compile(r"(?<![\d.])0*(\d+(?:\.\d+)?)(?![\d.])")
NAME = re.compile(r"\s[-–]\s+(?P<name>[^\d].*)$")


def named_chapter(chapter_id: str, name: str) -> Chapter:
    """What a name that people gave says: `Chapter 0012.5 - Fog`, `v02 c010`, `12`."""
    volume = VOLUME.search(name)
    rest = VOLUME.sub(" ", name)
    number = NUMBER.search(rest) or BARE_NUMBER.search(rest)
    said = NAME.search(name)
    return Chapter(
        id=chapter_id,
        number=number[1] if number else None,
        volume=volume[1] if volume else None,
        title=said["name"].strip() if said and number else "" if number else name,
    )


def in_reading_order(newest_first: Sequence[Chapter]) -> list[Chapter]:
    """Oldest first, by number; by volume as well where volumes begin their numbers anew. Extras stay where they stood."""
    restart = volumes_restart(newest_first)
    keyed = []
    volume = number = Decimal(0)
    for one in reversed(newest_first):
        if one.number:
            # Without a volume, as the latest chapters often are, it goes with those it is listed after.
            volume = Decimal(one.volume) if restart and one.volume else volume
            number = Decimal(one.number)
        keyed.append(((volume, number), one))
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]


def volumes_restart(chapters: Iterable[Chapter]) -> bool:
    """Whether two volumes have a chapter of the same number."""
    volume_of: dict[str, str] = {}
    return any(
        volume_of.setdefault(one.number, one.volume) != one.volume for one in chapters if one.number and one.volume
    )
