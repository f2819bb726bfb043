"""A title and what a search is narrowed to, as people type them."""

import pytest

from bot.search_words import UnknownFilter, parse
from tasks.models import NO_FILTERS, Filters, Manga, Order, Rating


def test_words_with_a_known_key_narrow_the_search() -> None:
    title, filters = parse(
        "harbour LANG:en,pt-br lights from:ko status:completed,hiatus rating:safe order:year is:readable"
    )
    assert title == "harbour lights"
    assert filters == Filters(
        languages=("en", "pt-br"),
        originals=("ko",),
        statuses=("completed", "hiatus"),
        ratings=(Rating.SAFE,),
        order=Order.YEAR,
        readable=True,
    )


@pytest.mark.parametrize("text", ["Re:Zero", "12:30", "lang: x", ":", "status:"])
def test_other_words_are_the_title(text: str) -> None:
    assert parse(text) == (" ".join(text.split()), NO_FILTERS)


@pytest.mark.parametrize(
    "word", ["lang:english", "lang:,", "status:done", "rating:mild", "order:size", "is:good", "from:ko/../x"]
)
def test_a_value_nobody_knows_is_refused(word: str) -> None:
    with pytest.raises(UnknownFilter, match="^" + word.replace("*", "") + "$"):
        parse(f"x {word}")


def test_what_is_not_known_of_a_title_does_not_speak_against_it() -> None:
    filters = Filters(languages=("en",), statuses=("completed",), ratings=(Rating.SAFE,))
    bare = {"source": "demo", "id": "1", "title": "x"}
    assert filters.fit(Manga(**bare))
    assert filters.fit(Manga(**bare, languages=("ko", "en"), status="completed", rating=Rating.SAFE))
    for other in ({"languages": ("ko",)}, {"status": "ongoing"}, {"rating": Rating.EROTICA}):
        assert not filters.fit(Manga.model_validate({**bare, **other}))
