"""What holds for every typed selection, whatever was typed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.selection import SelectionError, parse
from tasks.models import Chapter

CHAPTERS = [
    Chapter(id=f"c{n}", number=number, volume=str(n // 4))
    for n, number in enumerate(["1", "2", "2.5", "3", None, "4", "10", "11", "100", "101"])
]
PIECES = st.one_of(
    st.sampled_from(["1-5", "8", "12.5", "latest 3", "vol 2", "all", "-", ",", "1--2", "٣", "latest", "5-1", "2.5-10"]),
    st.text(max_size=12),
)


def places(text: str) -> set[int] | None:
    """What is picked; None for what is not understood."""
    try:
        return set(parse(text, CHAPTERS))
    except SelectionError:
        return None


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=6), st.sampled_from([", ", " ", ","]))
def test_whatever_is_typed_picks_chapters_or_is_told(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    picked = places(text)
    assert picked is None or picked <= set(range(len(CHAPTERS)))
    assert places(text) == picked
    assert not parse_fails_for_nobody(text)


def parse_fails_for_nobody(text: str) -> bool:
    """A title without chapters gives nothing to pick, and is no error of its own."""
    try:
        return bool(parse(text, []))
    except SelectionError:
        return False


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_range_picks_what_lies_in_it(first: int, last: int) -> None:
    wanted = {n for n, one in enumerate(CHAPTERS) if one.number and first <= float(one.number) <= last}
    if first <= last:
        assert places(f"{first}-{last}") == wanted


@given(st.integers(1, 30))
def test_the_latest_are_the_last_ones(count: int) -> None:
    everything = len(CHAPTERS)
    assert places(f"latest {count}") == set(range(everything)[-count:])
