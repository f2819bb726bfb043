"""The order of chapters. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from tasks.models import Chapter


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
