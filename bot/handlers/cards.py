"""The title card: what is known of a title, and what can be done with it."""

import html
from dataclasses import dataclass

from aiogram import Bot
from aiogram.types import CallbackQuery, Message

from bot import editions, keyboards
from bot.destination import Destination
from bot.editing import Screen
from bot.language import language_name, mark, say
from bot.memory.follows import Follows
from bot.memory.menus import Picker
from bot.memory.shared import Errand, Shared
from bot.settings import BotSettings
from bot.texts import is_web_address, safe
from tasks.models import Rating

STATUS = {
    "ongoing": mark("ongoing"),
    "completed": mark("completed"),
    "hiatus": mark("on hiatus"),
    "cancelled": mark("discontinued"),
}
RATINGS = {
    Rating.SAFE: mark("safe"),
    Rating.SUGGESTIVE: mark("suggestive"),
    Rating.EROTICA: mark("erotica"),
    Rating.PORNOGRAPHIC: mark("pornographic"),
}


@dataclass(frozen=True)
class Cards:
    """Makes cards of titles."""

    bot: Bot
    shared: Shared
    follows: Follows
    settings: BotSettings

    async def pressed(self, query: CallbackQuery, picker: Picker, *, alone: bool = False) -> Screen:
        """The card in the chat of a pressed button."""
        if not isinstance(query.message, Message):
            return card_screen(picker, "")
        return await self.at(query.message, picker, alone=alone)

    async def at(self, where: Message, picker: Picker, *, alone: bool = False) -> Screen:
        """The card for the chat of that message; in a group it leads to picking in private, unless one `alone` sees it."""
        username = (await self.bot.me()).username or ""
        followed = await self.follows.get(where.chat.id, picker.details.manga.key) is not None
        # Where not everybody may use the bot in private, a group's people might be turned away there.
        is_group = where.chat.type in {"group", "supergroup"}
        if not is_group or alone or where.ephemeral_message_id or self.settings.allowed_chats:
            group_too = where.chat.type == "private" and picker.destination is None
            return card_screen(picker, username, group_too=group_too, followed=followed)
        asked_in = where.reply_to_message or where
        errand = Errand(manga=picker.details.manga, destination=Destination.of(where, asked_in.message_id))
        return card_screen(picker, username, errand=await self.shared.new_errand(errand), followed=followed)


def card_screen(
    picker: Picker, username: str, *, errand: str = "", group_too: bool = False, followed: bool = False
) -> Screen:
    """What is known of the title, with its cover as the link preview."""
    manga = picker.details.manga
    title = f"<b>{safe(manga.title)}</b>"
    if manga.url and is_web_address(manga.url):
        title = f'<a href="{html.escape(manga.url)}">{title}</a>'
    lines = [title, *_facts(picker)]
    if manga.description:
        lines.append(f"\n{safe(manga.description, 500)}")
    if not picker.chapters:
        lines.append(f"\n{say('The source has no chapters of it.')}")
    keyboard = keyboards.card(picker, username, errand=errand, group_too=group_too, followed=followed)
    return Screen("\n".join(lines), keyboard, manga.cover_url)


def _facts(picker: Picker) -> list[str]:
    manga, chapters = picker.details.manga, picker.details.chapters
    languages = editions.languages(chapters) or list(manga.languages)
    facts = {
        say("Also"): ", ".join(manga.alt_titles[:3]),
        say("Authors"): ", ".join(manga.authors),
        say("Year"): str(manga.year or ""),
        say("Status"): say(STATUS[manga.status]) if manga.status in STATUS else manga.status,
        say("Languages"): ", ".join(language_name(code) for code in languages[:8]),
        say("Rating"): say(RATINGS[manga.rating]) if manga.rating and manga.rating is not Rating.SAFE else "",
        say("Chapters"): str(len(picker.chapters)),
        say("Source"): manga.source,
    }
    return [f"{name}: {safe(value)}" for name, value in facts.items() if value]
