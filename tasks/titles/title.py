"""What is known of a followed title, and which of its chapters are news. Pure.

A chapter is known by its id, and by language and number: one that comes again under another id or from another group is no
news. Where volumes begin their numbers anew the volume counts as well, so both ways of writing it are kept. One without a
number is known by its name.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.chapters import volumes_restart
from tasks.models import Chapter, Manga, Value

VERSION = 1
"""Of the records of followed titles; see `tasks.jobs.job` for what that means."""


class News(Value):
    """A chapter that was not there before, as one or more groups did it in one language; it was found at that time."""

    found_at: float
    chapters: tuple[Chapter, ...]

    @property
    def language(self) -> str | None:
        return self.chapters[0].language


class Title(Value):
    """A followed manga. `mark` is for the next look; `looked_at` is the time of the last one that went well, `whole_at` of the
    last one that read the list of chapters; 0 = not yet.

    `failures` looks since then did not go well for this title, the last one with the error `trouble`; that of a source which
    does not answer is told, and not counted. `news` is how many there were so far.
    """

    manga: Manga
    mark: str = ""
    looked_at: float = 0.0
    whole_at: float = 0.0
    failures: int = 0
    trouble: str = ""
    news: int = 0


@dataclass
class _Listed:
    """One chapter as all who did it list it."""

    variants: list[Chapter] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Words by which it is known."""
    others: set[str] = field(default_factory=set)
    """Words by which it would be known if volumes did, or did not, begin their numbers anew."""


def known_words(chapters: Iterable[Chapter]) -> list[str]:
    """All words by which these chapters are known."""
    return sorted({word for one in _listed(chapters) for word in one.names | one.others})


def as_listed(chapters: Sequence[Chapter], found_at: float, known: set[str]) -> str:
    """What the move `found` wants to know of these chapters, but for those of which nothing is new."""
    listed = [one for one in _listed(chapters) if not one.names | one.others <= known]
    told = [
        [sorted(one.names), sorted(one.others), News(found_at=found_at, chapters=tuple(one.variants)).model_dump_json()]
        for one in listed
    ]
    return json.dumps(told)


def _listed(chapters: Iterable[Chapter]) -> list[_Listed]:
    by_language: defaultdict[str, list[Chapter]] = defaultdict(list)
    for one in chapters:
        by_language[one.language or ""].append(one)
    found: dict[str, _Listed] = {}
    for language, some in by_language.items():
        restart = volumes_restart(some)
        for one in some:
            plain, exact = _names(one, language)
            name, other = (exact, plain) if restart else (plain, exact)
            listed = found.setdefault(name, _Listed())
            listed.variants.append(one)
            listed.names |= {name, _word("id", one.id)}
            listed.others.add(other)
    return list(found.values())


def _names(one: Chapter, language: str) -> tuple[str, str]:
    """Its word without the volume, and with it."""
    if one.number:
        return _word("number", language, one.number), _word("number", language, one.number, one.volume or "")
    name = _word("name", language, one.title.casefold()) if one.title else _word("id", one.id)
    return name, name


def _word(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
