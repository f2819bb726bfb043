"""The commands in Telegram's menu, for each language and each kind of chat. Menus are no permission: handlers check."""

import logging
from collections.abc import Iterable, Mapping

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BotCommandScopeDefault,
    BotCommandScopeUnion,
)

from bot.language import ENGLISH, LANGUAGES, mark, say, speaking

log = logging.getLogger(__name__)

SEARCH = {"search": mark("Find a title")}
DOWNLOADS = {
    "download": mark("Source and chapter ids: download at once"),
    "sources": mark("Where the chapters come from"),
    "jobs": mark("Your downloads"),
    "cancel": mark("Cancel your newest download"),
    "history": mark("What was delivered, to get again"),
    "following": mark("Titles whose new chapters come by themselves"),
}
SETTINGS = {"settings": mark("Format, languages and more")}
FORGET = {"forget": mark("Remove what is stored about you")}
HELP = {"help": mark("What I do")}
FOR_ADMINS = {
    "stats": mark("Figures: jobs, sources, disk"),
    "ban": mark("Somebody may not use me any more"),
    "unban": mark("Somebody may use me again"),
}
IN_PRIVATE = SEARCH | DOWNLOADS | SETTINGS | FORGET | HELP
IN_GROUPS = SEARCH | DOWNLOADS | HELP
IN_GROUPS_FOR_ADMINS = SEARCH | DOWNLOADS | SETTINGS | HELP


async def register_commands(bot: Bot, admins: Iterable[int]) -> None:
    """Tell Telegram which commands it offers to whom; what it refuses is logged."""
    menus: list[tuple[BotCommandScopeUnion, Mapping[str, str]]] = [
        (BotCommandScopeDefault(), IN_PRIVATE),
        (BotCommandScopeAllPrivateChats(), IN_PRIVATE),
        (BotCommandScopeAllGroupChats(), IN_GROUPS),
        (BotCommandScopeAllChatAdministrators(), IN_GROUPS_FOR_ADMINS),
        *((BotCommandScopeChat(chat_id=admin), IN_PRIVATE | FOR_ADMINS) for admin in admins),
    ]
    for scope, names in menus:
        for language in LANGUAGES:
            with speaking(language):
                commands = [BotCommand(command=name, description=say(text)) for name, text in names.items()]
            # Telegram takes languages of two letters only; without one they are for all others.
            code = None if language == ENGLISH else language[:2]
            try:
                await bot.set_my_commands(commands, scope=scope, language_code=code)
            except TelegramAPIError as error:
                log.warning("the commands for %s in %s were refused: %s", scope.type, language, error)
                break
