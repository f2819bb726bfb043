"""What a person types to pick chapters: `1-5, 8, 12.5, latest 3, vol 2`."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from tasks.models import Chapter

NUMBER = r"\d{1,6}(?:\.\d{1,3})?"
ONE = re.compile(NUMBER)
RANGE = re.compile(rf"({NUMBER})?\s*[-–—]\s*({NUMBER})?")
LATEST = re.compile(r"latest(?:\s+(\d{1,4}))?", re.IGNORECASE)
VOLUME = re.compile(rf"vol(?:ume)?\.?\s*({NUMBER})(?:\s*[-–—]\s*({NUMBER}))?", re.IGNORECASE)
EVERYTHING = re.compile(r"all|\*", re.IGNORECASE)


class SelectionError(ValueError):
    """Part of the text is no selection; `part` is what was not understood."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


def looks_like_selection(text: str) -> bool:
    """Whether every part of the text has the form of a selection, whatever chapters there are."""
    return all(_form(part) for part in _parts(text)) and bool(_parts(text))


def parse(text: str, chapters: Sequence[Chapter]) -> set[int]:
    """Places of the chapters that the text names, of `chapters` in reading order.

    A range takes every chapter whose number lies in it, ends included; an open one (`20-`) goes to the end. Numbers
    that no chapter has are passed over; `vol 2` and `vol 2-4` take whole volumes. Raises `SelectionError` for a part that is
    no selection.
    """
    picked: set[int] = set()
    for part in _parts(text):
        picked |= _places(part, chapters)
    return picked


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]


def _form(part: str) -> bool:
    matched = RANGE.fullmatch(part)
    if matched:
        return any(matched.groups())
    return any(form.fullmatch(part) for form in (ONE, LATEST, VOLUME, EVERYTHING))


def _places(part: str, chapters: Sequence[Chapter]) -> set[int]:
    if not _form(part):
        raise SelectionError(part)
    if EVERYTHING.fullmatch(part):
        return set(range(len(chapters)))
    if latest := LATEST.fullmatch(part):
        return set(range(len(chapters))[-int(latest[1] or 1) :]) if latest[1] != "0" else set()
    first, last = sorted(_bounds(part))
    by_volume = VOLUME.fullmatch(part) is not None
    numbers = [chapter.volume if by_volume else chapter.number for chapter in chapters]
    return {place for place, number in enumerate(numbers) if _lies_in(number, first, last)}


def _bounds(part: str) -> tuple[Decimal, Decimal]:
    if one := ONE.fullmatch(part):
        return Decimal(one[0]), Decimal(one[0])
    if volume := VOLUME.fullmatch(part):
        return Decimal(volume[1]), Decimal(volume[2] or volume[1])
    first, last = RANGE.fullmatch(part).groups()  # type: ignore[union-attr]  # _form has seen to it
    return Decimal(first or 0), Decimal(last or "Infinity")


def _lies_in(number: str | None, first: Decimal, last: Decimal) -> bool:
    try:
        return number is not None and first <= Decimal(number) <= last
    except InvalidOperation:
        return False
