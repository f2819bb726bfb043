"""Whose a list of the chat is, by the words that it answers to."""

import time

import pytest
from aiogram.types import CallbackQuery, Chat, Message, User

from bot.app import open_bot
from bot.handlers.menu_access import PressRefused, check_opener
from bot.local.telegram.world import BOT
from bot.settings import BotSettings
from tests.person import GROUP, JUNHO, MINA

ELSEWHERE = Chat(id=-1000000000099, type="channel", title="Somebody's channel")


def said(author: User, **more: object) -> Message:
    group = Chat(id=GROUP, type="supergroup")
    return Message.model_validate({"message_id": 1, "date": int(time.time()), "chat": group, "from": author, **more})


async def test_what_was_opened_in_the_name_of_a_channel_is_the_group_s_admins(bot_settings: BotSettings) -> None:
    mina, junho = (User(id=who, is_bot=False, first_name="?") for who in (MINA, JUNHO))
    words = said(User(id=136817688, is_bot=True, first_name="Channel"), sender_chat=ELSEWHERE)
    listed = said(BOT, reply_to_message=words)
    async with open_bot(bot_settings) as bot:
        # Mina created the group; what the bot knows of the channel is nothing.
        await check_opener(CallbackQuery(id="1", from_user=mina, chat_instance="1", message=listed), bot)
        with pytest.raises(PressRefused):
            await check_opener(CallbackQuery(id="2", from_user=junho, chat_instance="1", message=listed), bot)
