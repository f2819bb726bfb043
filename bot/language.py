"""The languages the bot speaks. English is the source text; the others are gettext catalogues below `bot/locales`.

Which one is spoken belongs to the running task: an update sets it for its handlers, a watch for its status message.
"""

import gettext
import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH = "en"
LANGUAGES = {
    "en": "English",
    "ko": "한국어",
    "ja": "日本語",
    "es": "Español",
    "pt-br": "Português (Brasil)",
    "id": "Bahasa Indonesia",
    "ru": "Русский",
    "ar": "العربية",
    "fr": "Français",
}
"""Each by its own name, under the code Telegram has for it, in small letters."""
RIGHT_TO_LEFT = {"ar"}
LEFT_TO_RIGHT, BY_ITS_LETTERS, END = "\u2066", "\u2068", "\u2069"
CATALOGUES = Path(__file__).parent / "locales"

_spoken: ContextVar[str] = ContextVar("spoken", default=ENGLISH)


def best_language(code: str | None) -> str:
    """The language for a `language_code` of Telegram, such as "pt" or "es-419"; English where there is none of ours."""
    wanted = (code or "").lower().replace("_", "-")
    main = wanted.partition("-")[0]
    return next((one for one in LANGUAGES if wanted == one or main == one.partition("-")[0]), ENGLISH)


def spoken() -> str:
    """The code of the language that is spoken now."""
    return _spoken.get()


def speak(code: str) -> None:
    """Speak it for the rest of the running task."""
    _spoken.set(best_language(code))


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak it until the block ends."""
    token = _spoken.set(best_language(code))
    try:
        yield
    finally:
        _spoken.reset(token)


def mark(text: str) -> str:
    """The text as it is: what is kept in a constant is found for the catalogues by this, and translated by `say`."""
    return text


def say(text: str, /, **values: object) -> str:
    """The text in the language that is spoken, with the values in the places of their names."""
    return _fill(_catalogue(spoken()).gettext(text), values)


def many(one: str, several: str, number: int, /, **values: object) -> str:
    """The right plural for `number`, which is a value as well."""
    return _fill(_catalogue(spoken()).ngettext(one, several, number), {**values, "number": number})


def is_right_to_left() -> bool:
    """Whether the language that is spoken is written from right to left."""
    return spoken() in RIGHT_TO_LEFT


def isolated(text: str) -> str:
    """Text of another script, which must not turn the order of what stands around it."""
    if not text or not is_right_to_left():
        return text
    # A range has no letters to go by, and must not be turned round.
    has_letters = any(unicodedata.bidirectional(c) in {"L", "R", "AL"} for c in text)
    return f"{BY_ITS_LETTERS if has_letters else LEFT_TO_RIGHT}{text}{END}"


def language_name(code: str) -> str:
    """What the language that is spoken calls the one of that code; the code itself where that is not known."""
    aliases = {"es-la": "es-419", "pt-br": "pt-BR", "zh-hk": "zh-Hant"}
    try:
        found = Locale.parse(aliases.get(code, code), sep="-")
        return found.get_display_name(Locale.parse(spoken(), sep="-")) or code
    except (UnknownLocaleError, ValueError):
        return code


def _fill(text: str, values: dict[str, object]) -> str:
    if not values:
        return text
    return text.format_map(
        {name: isolated(value) if isinstance(value, str) else value for name, value in values.items()}
    )


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    if code == ENGLISH:
        return gettext.NullTranslations()
    # Read as it is written: nothing has to be compiled before the bot is run.
    compiled = io.BytesIO()
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=code.replace("-", "_")))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
