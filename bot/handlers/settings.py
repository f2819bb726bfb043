"""`/settings`: what a person wants, and in a group what its admins want for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiogram import Bot, F, Router
from aiogram.filters import Command, CommandStart
from aiogram.types import CallbackQuery, Message

from bot import keyboards, links
from bot.callbacks import ChooseSetting, Setting, ShowSetting, ShowSettings
from bot.callers import Caller
from bot.editing import Editor, Screen
from bot.handlers.cards import RATINGS
from bot.handlers.menu_access import PressRefused, is_admin, may_decide, spot_of
from bot.language import LANGUAGES, language_name, mark, say, speaking, spoken
from bot.memory.preferences import Chosen, Preferences
from tasks.models import ArchiveFormat, Quality, Rating, Split
from tasks.sources.registry import Sources

NAMES = {
    Setting.FORMAT: mark("File format"),
    Setting.SPLIT: mark("Files"),
    Setting.QUALITY: mark("Page quality"),
    Setting.WIDTH: mark("Width of smaller pages"),
    Setting.STRIPS: mark("Long strips"),
    Setting.CHAPTER_LANGUAGE: mark("Chapter language"),
    Setting.SOURCES: mark("First source"),
    Setting.LANGUAGE: mark("My language"),
    Setting.RATING: mark("Allowed here"),
}
EXPLAINED = {
    Setting.FORMAT: mark("ZIP opens everywhere; CBZ is for comic readers, PDF for any reader, EPUB for e-readers."),
    Setting.SPLIT: mark("One file for all chapters of a download, for each volume, or for each chapter."),
    Setting.QUALITY: mark("The pages as the source has them, or as smaller pictures that load faster."),
    Setting.WIDTH: mark("How wide smaller pages are at most."),
    Setting.STRIPS: mark("Very long pages, as one picture or cut where nothing is drawn. A PDF always cuts them."),
    Setting.CHAPTER_LANGUAGE: mark("Which language is offered first, where a title has several."),
    Setting.SOURCES: mark("Whose titles come first in a search. What was chosen last comes first."),
    Setting.LANGUAGE: mark("The language I speak."),
    Setting.RATING: mark("Up to which kind titles may be shown in this group."),
}
SPLITS = {
    Split.ALL: mark("one for all"),
    Split.VOLUME: mark("one for each volume"),
    Split.CHAPTER: mark("one for each chapter"),
}
QUALITIES = {Quality.ORIGINAL: mark("original"), Quality.SMALLER: mark("smaller"), Quality.WEBP: mark("smaller, WebP")}
STRIPS = {False: mark("as they are"), True: mark("cut between panels")}
WIDTHS = (800, 1200, 1600, 2000)
CHAPTER_LANGUAGES = "en ko ja zh zh-hk es es-la pt-br id ru ar fr de it vi tr pl th uk"
"""Codes as sources write them."""
USUAL = mark("as usual")


@dataclass(frozen=True)
class Choice:
    """One thing a setting can be: what is stored, and what it is called."""

    value: Any
    label: str


def router() -> Router:
    routes = Router(name="settings")
    routes.message.register(settings_command, Command("settings"))
    routes.message.register(settings_command, CommandStart(deep_link=True, magic=F.args == links.SETTINGS))
    routes.callback_query.register(show_settings, ShowSettings.filter())
    routes.callback_query.register(show_setting, ShowSetting.filter())
    routes.callback_query.register(choose_setting, ChooseSetting.filter())
    return routes


async def settings_command(message: Message, bot: Bot, caller: Caller, chosen: Chosen) -> None:
    chat_id = message.chat.id
    if message.chat.type != "private" and not await is_admin(bot, chat_id, caller.id):
        address = links.private((await bot.me()).username or "", links.SETTINGS)
        keyboard = keyboards.open_link(say("Your settings"), address)
        await message.reply(say("Here its admins choose. Yours are in our private chat."), reply_markup=keyboard)
        return
    screen = settings_screen(chat_id, await chosen.of(chat_id))
    await message.reply(screen.text, reply_markup=screen.keyboard)


async def show_settings(
    query: CallbackQuery, callback_data: ShowSettings, bot: Bot, caller: Caller, chosen: Chosen, editor: Editor
) -> None:
    await _check(query, callback_data.whose, bot, caller)
    editor.show_once(spot_of(query), settings_screen(callback_data.whose, await chosen.of(callback_data.whose)))


async def show_setting(
    query: CallbackQuery,
    callback_data: ShowSetting,
    bot: Bot,
    caller: Caller,
    chosen: Chosen,
    sources: Sources,
    editor: Editor,
) -> None:
    whose, name = callback_data.whose, callback_data.name
    await _check(query, whose, bot, caller)
    editor.show_once(spot_of(query), setting_screen(whose, name, await chosen.of(whose), _names(sources)))


async def choose_setting(
    query: CallbackQuery,
    callback_data: ChooseSetting,
    bot: Bot,
    caller: Caller,
    chosen: Chosen,
    sources: Sources,
    editor: Editor,
) -> None:
    whose, name, place = callback_data.whose, callback_data.name, callback_data.place
    await _check(query, whose, bot, caller)
    choices = _choices(name, _names(sources))
    if place >= len(choices):
        raise PressRefused(say("There is no such choice."))
    value = choices[place].value if place >= 0 else None
    if name is Setting.SOURCES:
        others = [source for source in (await chosen.of(whose)).sources if source != value]
        value = (value, *others) if value else ()
    await chosen.choose(whose, **{name.value: value})
    preferences = await chosen.of(whose)
    with speaking(preferences.language or (query.from_user.language_code if whose > 0 else None) or spoken()):
        editor.show_once(spot_of(query), setting_screen(whose, name, preferences, _names(sources)))


def _names(sources: Sources) -> list[str]:
    return [source.name for source in sources.all()]


async def _check(query: CallbackQuery, whose: int, bot: Bot, caller: Caller) -> None:
    """Raises `PressRefused` for whoever may not choose for that person or group, or not here."""
    chat_id = spot_of(query).chat_id
    if whose != chat_id or not await may_decide(bot, chat_id, caller.id):
        raise PressRefused(say("You can't change these settings. Send /settings for your own."))


def settings_screen(whose: int, preferences: Preferences) -> Screen:
    """All settings with what was chosen."""
    shown = [
        (name, f"{say(NAMES[name])}: {_label(name, preferences)}")
        for name in Setting
        if name is not Setting.RATING or whose < 0
    ]
    title = say("Settings of this group") if whose < 0 else say("Your settings")
    about = say("They come before what each of its people chose.") if whose < 0 else ""
    return Screen("\n".join(filter(None, [f"⚙ <b>{title}</b>", about])), keyboards.settings(whose, shown))


def setting_screen(whose: int, name: Setting, preferences: Preferences, sources: Sequence[str]) -> Screen:
    """One setting with its choices."""
    now = _value(name, preferences)
    labels = [(choice.label, choice.value == now) for choice in _choices(name, sources)]
    text = f"⚙ <b>{say(NAMES[name])}</b>\n{say(EXPLAINED[name])}"
    return Screen(text, keyboards.setting(whose, name, labels, say(USUAL)))


def _value(name: Setting, preferences: Preferences) -> Any:
    value = getattr(preferences, name.value)
    return next(iter(value), None) if name is Setting.SOURCES else value


def _label(name: Setting, preferences: Preferences) -> str:
    now = _value(name, preferences)
    known = _choices(name, preferences.sources)
    return next((choice.label for choice in known if choice.value == now), say(USUAL))


def _choices(name: Setting, sources: Sequence[str]) -> list[Choice]:
    if name is Setting.SOURCES:
        return [Choice(source, source) for source in sources]
    tables: dict[Setting, dict[Any, str]] = {
        Setting.FORMAT: {one: one.value.upper() for one in ArchiveFormat},
        Setting.SPLIT: {value: say(label) for value, label in SPLITS.items()},
        Setting.QUALITY: {value: say(label) for value, label in QUALITIES.items()},
        Setting.WIDTH: {width: say("{width} pixels", width=width) for width in WIDTHS},
        Setting.STRIPS: {value: say(label) for value, label in STRIPS.items()},
        Setting.CHAPTER_LANGUAGE: {code: language_name(code) for code in CHAPTER_LANGUAGES.split()},
        Setting.LANGUAGE: LANGUAGES,
        Setting.RATING: {rating: say(RATINGS[rating]) for rating in Rating},
    }
    return [Choice(value, label) for value, label in tables[name].items()]
