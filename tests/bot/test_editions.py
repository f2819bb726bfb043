"""Which chapters are offered where there are several of one number."""

from bot.editions import fallbacks, groups, languages, offered
from tasks.models import Chapter


def chapter(number: str | None, group: str, language: str = "en", *, available: bool = True) -> Chapter:
    some_id = f"{number}-{group}-{language}"
    return Chapter(id=some_id, number=number, groups=(group,), language=language, available=available)


SHELF = (
    chapter("1", "A"),
    chapter("1", "B"),
    chapter("1", "C", "es"),
    chapter("2", "B", available=False),
    chapter("2", "A"),
    chapter("3", "B"),
    chapter(None, "A"),
    chapter(None, "B"),
)


def ids(chapters: tuple[Chapter, ...]) -> list[str]:
    return [one.id for one in chapters]


def test_one_chapter_for_each_number_of_the_group_that_is_preferred() -> None:
    assert ids(offered(SHELF, "en", "B")) == ["1-B-en", "2-A-en", "3-B-en", "None-A-en", "None-B-en"]
    assert ids(offered(SHELF, "en", None))[:3] == ["1-A-en", "2-A-en", "3-B-en"]
    assert ids(offered(SHELF, "es", "B")) == ["1-C-es"]
    assert ids(offered((), None, None)) == []


def test_volumes_that_begin_their_numbers_anew_are_kept_apart() -> None:
    again = tuple(
        Chapter(id=f"{volume}", number="1", volume=volume, groups=(group,), language="en")
        for volume, group in (("1", "A"), ("2", "A"))
    )
    assert ids(offered(again, "en", None)) == ["1", "2"]


def test_what_there_is_to_choose_from_the_larger_first() -> None:
    assert languages(SHELF) == ["en", "es"]
    assert groups(SHELF, "en") == ["B", "A"]
    assert groups(SHELF, "es") == ["C"]


def test_chapters_of_other_groups_are_named() -> None:
    assert fallbacks(offered(SHELF, "en", "B")[:3], "B") == {"A": ["2"]}
    assert fallbacks(SHELF, None) == {}
