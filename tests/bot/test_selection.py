"""What people type to pick chapters."""

import pytest

from bot.handlers.browse import EXAMPLE
from bot.handlers.start import HELP
from bot.selection import SelectionError, looks_like_selection, parse
from tasks.models import Chapter
from tests.conftest import ROOT

VOLUMES = {"1": "1", "2": "1", "2.5": "1", "3": "2", "4": "2", "5": "3"}
NUMBERS = ("1", "2", "2.5", "3", "4", "5", "8", "12.5")
CHAPTERS = [Chapter(id=f"c{n}", number=n, volume=VOLUMES.get(n)) for n in NUMBERS]
CHAPTERS.append(Chapter(id="extra", title="Extra"))


def numbers(text: str) -> list[str]:
    return [CHAPTERS[place].label for place in sorted(parse(text, CHAPTERS))]


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("2", ["2"]),
        ("1-3", ["1", "2", "2.5", "3"]),
        ("3 - 1", ["1", "2", "2.5", "3"]),
        ("1–2, 8", ["1", "2", "8"]),
        ("1-5, 8, 12.5", ["1", "2", "2.5", "3", "4", "5", "8", "12.5"]),
        ("5-", ["5", "8", "12.5"]),
        ("-2", ["1", "2"]),
        ("latest", ["Extra"]),
        ("Latest 3", ["8", "12.5", "Extra"]),
        ("latest 0", []),
        ("latest 99", [chapter.label for chapter in CHAPTERS]),
        ("all", [chapter.label for chapter in CHAPTERS]),
        ("7", []),
        ("2.50", ["2.5"]),
        ("1;2\n4", ["1", "2", "4"]),
        ("vol 2", ["3", "4"]),
        ("Volume 3 - 2, vol. 9, 1", ["1", "3", "4", "5"]),
    ],
)
def test_a_selection_picks(text: str, picked: list[str]) -> None:
    assert numbers(text) == picked


@pytest.mark.parametrize(
    "text", ["one", "1-2-3", "1..3", "-", "latest three", "vol", "vol x", "1, x", "٣-x", "9999999999"]
)
def test_what_is_no_selection_is_said(text: str) -> None:
    with pytest.raises(SelectionError):
        parse(text, CHAPTERS)
    assert not looks_like_selection(text)


@pytest.mark.parametrize("text", ["", "  ", ",,", "Naruto", "20th Century Boys"])
def test_a_title_is_no_selection(text: str) -> None:
    assert not looks_like_selection(text)


def test_what_people_are_told_to_type_is_understood_and_the_same_everywhere() -> None:
    example = EXAMPLE.removeprefix("<code>").removesuffix("</code>")
    assert looks_like_selection(example)
    assert EXAMPLE in HELP
    assert f"| `{example}`, with chapters open" in (ROOT / "README.md").read_text()
