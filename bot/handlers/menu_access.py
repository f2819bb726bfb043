"""Who may press what: a menu answers only to the person who opened it."""

from typing import TypeVar

from aiogram import Bot
from aiogram.enums import ChatMemberStatus
from aiogram.exceptions import TelegramAPIError
from aiogram.types import CallbackQuery, Message

from bot.editing import Spot
from bot.language import mark, say
from bot.memory.menus import Menus, Picker, Results

M = TypeVar("M", Results, Picker)
TOO_OLD = mark("This message is too old. Send /search to open a new one.")
ADMINS = {ChatMemberStatus.CREATOR, ChatMemberStatus.ADMINISTRATOR}
MEMBERS = ADMINS | {ChatMemberStatus.MEMBER}


class PressRefused(Exception):
    """The press is answered with this text as an alert, and nothing else happens."""


async def open_menu(menus: Menus, menu_id: str, kind: type[M], query: CallbackQuery) -> M:
    """The menu behind a button. Raises `PressRefused` for a stranger, and where the menu is gone.

    What an admin opened in the name of the group or channel belongs to all its admins.
    """
    menu = await menus.get(menu_id, kind)
    if menu is None:
        raise PressRefused(say("This menu has expired. Send /search to open a new one."))
    if menu.owner == query.from_user.id:
        return menu
    if menu.owner < 0 and query.bot and await is_admin(query.bot, spot_of(query).chat_id, query.from_user.id):
        return menu
    raise PressRefused(say("Somebody else opened this. Send /search to open your own."))


async def check_opener(query: CallbackQuery, bot: Bot) -> None:
    """Raises `PressRefused` for a stranger to a list of the chat, which answers to the words of who opened it.

    What was opened in the name of a group or channel belongs to the chat's admins, as with menus. Where those words were
    deleted, or it answers to words of the bot, it is everybody's.
    """
    words = query.message.reply_to_message if isinstance(query.message, Message) else None
    if words is None:
        return
    if words.sender_chat:
        is_theirs = await is_admin(bot, spot_of(query).chat_id, query.from_user.id)
    else:
        is_theirs = words.from_user is None or words.from_user.is_bot or words.from_user.id == query.from_user.id
    if not is_theirs:
        raise PressRefused(say("Somebody else opened this. Send /following to open your own."))


def spot_of(query: CallbackQuery) -> Spot:
    """The message the button is under; Telegram tells of old messages as well which one they were."""
    if query.message is None:
        raise PressRefused(say(TOO_OLD))
    if isinstance(query.message, Message) and query.message.ephemeral_message_id:
        return Spot(query.message.chat.id, query.message.ephemeral_message_id, query.from_user.id)
    return Spot(query.message.chat.id, query.message.message_id)


async def is_admin(bot: Bot, chat_id: int, caller_id: int) -> bool:
    """Whether the caller, who may speak in the name of the chat itself, is one of its admins."""
    return caller_id == chat_id < 0 or await _status(bot, chat_id, caller_id) in ADMINS


async def may_decide(bot: Bot, chat_id: int, caller_id: int) -> bool:
    """Whether the chat is the caller's own, or they are one of its admins."""
    return caller_id == chat_id or await is_admin(bot, chat_id, caller_id)


async def is_member(bot: Bot, chat_id: int, caller_id: int) -> bool:
    """Whether the person is in the chat now."""
    return await _status(bot, chat_id, caller_id) in MEMBERS


async def _status(bot: Bot, chat_id: int, user_id: int) -> ChatMemberStatus | None:
    try:
        member = await bot.get_chat_member(chat_id, user_id)
    except TelegramAPIError:
        return None  # who can't be known to be one is none
    if member.status == ChatMemberStatus.RESTRICTED and member.is_member:
        return ChatMemberStatus.MEMBER
    return ChatMemberStatus(member.status)
