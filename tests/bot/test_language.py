"""The bot's languages: whole, with the right plurals and places for values, and the right one for each person."""

import re
from string import Formatter

import pytest
from babel.messages.catalog import Message

from bot.commands import FOR_ADMINS, IN_PRIVATE
from bot.language import CATALOGUES, LANGUAGES, best_language, language_name, many, say, speaking
from bot.local.telegram.markup import parse_html
from tests.bot.catalogues import catalogue, texts

OTHERS = sorted(set(LANGUAGES) - {"en"})
COMMAND = re.compile(r"(?<!\w)/[a-z]{3,}")


def places(text: str) -> set[str]:
    """What a text asks of its values, its commands and its tags."""
    values = {f"{{{name}}}" for _, name, _, _ in Formatter().parse(text) if name is not None}
    return values | set(re.findall(r"</?[a-z]+>", text)) | set(COMMAND.findall(re.sub(r"<[^>]*>", " ", text)))


def test_there_is_a_catalogue_for_each_language() -> None:
    assert sorted(path.stem for path in CATALOGUES.glob("*.po")) == OTHERS


def strings(message: Message) -> list[str]:
    """The translation, or one for each plural."""
    found = message.string or ""
    return [found] if isinstance(found, str) else list(found)


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_is_missing_and_nothing_is_left_over(code: str) -> None:
    found = catalogue(code)
    assert {message.id for message in found if message.id} == texts()
    for message in (one for one in found if one.id):
        assert all(strings(message)), message.id
        assert len(strings(message)) == (1 if isinstance(message.id, str) else found.num_plurals)
        assert not message.fuzzy


@pytest.mark.parametrize("code", OTHERS)
def test_values_commands_and_tags_are_those_of_the_english_text(code: str) -> None:
    for message in (one for one in catalogue(code) if one.id):
        english = message.id if isinstance(message.id, str) else message.id[1]
        for string in strings(message):
            assert places(string) == places(english), message.id
            parse_html(string)


def test_each_number_has_its_plural() -> None:
    with speaking("ru"):
        told = [many("{number} page", "{number} pages", n) for n in (1, 2, 5, 21, 111)]
        assert told == ["1 страница", "2 страницы", "5 страниц", "21 страница", "111 страниц"]
    with speaking("ar"):
        assert [many("{number} page", "{number} pages", n) for n in (3, 11)] == ["3 صفحات", "11 صفحة"]
    with speaking("fr"):
        assert many("{number} page", "{number} pages", 0) == "0 page"


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("ko", "ko"),
        ("pt", "pt-br"),
        ("pt-BR", "pt-br"),
        ("pt_PT", "pt-br"),
        ("es-419", "es"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
        ("../etc", "en"),
    ],
)
def test_the_code_of_a_persons_app_leads_to_a_language(code: str | None, language: str) -> None:
    assert best_language(code) == language


def test_titles_do_not_turn_the_text_around_them() -> None:
    with speaking("ar"):
        assert "\u2068Moon\u2069" in say("It comes to {name}.", name="Moon")
        assert "\u20661–3\u2069" in say("ch {chapters}", chapters="1–3")
    assert "\u2068" not in say("It comes to {name}.", name="Moon")


def test_languages_have_names_in_each_language() -> None:
    with speaking("fr"):
        assert (language_name("es-la"), language_name("ko")) == ("espagnol (Amérique latine)", "coréen")
    assert language_name("??") == "??"


@pytest.mark.parametrize("code", LANGUAGES)
def test_menus_fit_into_telegrams(code: str) -> None:
    with speaking(code):
        assert all(1 <= len(say(text)) <= 256 for text in {**IN_PRIVATE, **FOR_ADMINS}.values())
