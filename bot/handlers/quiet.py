"""Answers that take no room in a group."""

from aiogram.exceptions import TelegramAPIError
from aiogram.types import Message, ReactionTypeEmoji


async def nod(message: Message, emoji: str, words: str) -> None:
    """Answer with words in private; in a group with a reaction, where it allows that one."""
    if message.chat.type in {"group", "supergroup"}:
        try:
            await message.react([ReactionTypeEmoji(emoji=emoji)])
        except TelegramAPIError:
            pass
        else:
            return
    await message.reply(words)
