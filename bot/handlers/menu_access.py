"""Who may press what: a menu answers only to the person who opened it."""

from typing import TypeVar

from aiogram.types import CallbackQuery

from bot.memory.menus import Menus, Picker, Results

M = TypeVar("M", Results, Picker)


class PressRefused(Exception):
    """The press is answered with this text as an alert, and nothing else happens."""


async def open_menu(menus: Menus, menu_id: str, kind: type[M], query: CallbackQuery) -> M:
    """The menu behind a button. Raises `PressRefused` for a stranger, and where the menu is gone."""
    menu = await menus.get(menu_id, kind)
    if menu is None:
        raise PressRefused("This menu has expired. Send /search to open a new one.")
    if menu.owner != query.from_user.id:
        raise PressRefused("Somebody else opened this. Send /search to open your own.")
    return menu


def spot_of(query: CallbackQuery) -> tuple[int, int]:
    """Chat and id of the message the button is under; Telegram tells them of old messages as well."""
    if query.message is None:
        raise PressRefused("This message is too old. Send /search to open a new one.")
    return query.message.chat.id, query.message.message_id
