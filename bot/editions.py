"""Which of the chapters that a source lists are offered, where groups did the same ones or in several languages. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tasks.chapters import volumes_restart
from tasks.models import Chapter


def languages(chapters: Iterable[Chapter]) -> list[str]:
    """Codes of the languages there are chapters in, the one with most of them first."""
    return [code for code, _ in Counter(one.language for one in chapters if one.language).most_common()]


def groups(chapters: Iterable[Chapter], language: str | None) -> list[str]:
    """Scanlation groups that did chapters in the language, the one with most of them first."""
    counted = Counter(group for one in _in_language(chapters, language) for group in one.groups)
    return [group for group, _ in counted.most_common()]


def offered(chapters: Sequence[Chapter], language: str | None, group: str | None) -> tuple[Chapter, ...]:
    """One chapter for each number, in the language (None = whichever) and their order.

    Where several groups did it, that of `group`, else the first one that is available.
    """
    wanted = _in_language(chapters, language)
    restart = volumes_restart(wanted)
    best: dict[object, Chapter] = {}
    for one in wanted:
        key = (one.number, one.volume if restart else None) if one.number else one.id
        if key not in best or _rank(one, group) > _rank(best[key], group):
            best[key] = one
    return tuple(best.values())


def fallbacks(chapters: Iterable[Chapter], group: str | None) -> dict[str, list[str]]:
    """By the names of other groups: labels of the chapters that `group` did not do."""
    found: dict[str, list[str]] = {}
    for one in chapters:
        if group and one.groups and group not in one.groups:
            found.setdefault(", ".join(one.groups), []).append(one.label)
    return found


def _in_language(chapters: Iterable[Chapter], language: str | None) -> list[Chapter]:
    return [one for one in chapters if language is None or one.language in {language, None}]


def _rank(chapter: Chapter, group: str | None) -> tuple[bool, bool]:
    return (chapter.available, group in chapter.groups)
