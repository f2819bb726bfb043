"""`/start` and `/help`: what the bot does."""

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import Message

from bot.commands import IN_GROUPS, IN_PRIVATE
from bot.language import isolated, mark, say

HELP = mark("""\
I download manga chapters and send them to this chat as one archive.

<b>How</b>
• {search}, and pick the title
• press <b>{chapters}</b>, tick what you want, or answer with <code>1-5, 8, 12.5, latest 3, vol 2</code>
• press <b>{download}</b>: one message shows how far it is, then the file comes

<b>Commands</b>
{commands}""")
SEARCH_IN_PRIVATE = mark("Send a title")
SEARCH_IN_A_GROUP = mark("Send /search and a title")


def router() -> Router:
    routes = Router(name="start")
    routes.message.register(help_text, CommandStart())
    routes.message.register(help_text, Command("help"))
    return routes


async def help_text(message: Message) -> None:
    private = message.chat.type == "private"
    names = IN_PRIVATE if private else IN_GROUPS
    text = say(
        HELP,
        search=say(SEARCH_IN_PRIVATE if private else SEARCH_IN_A_GROUP),
        chapters=say("Chapters"),
        download=say("Download"),
        commands="\n".join(f"{isolated(f'/{name}')} – {say(text)}" for name, text in names.items()),
    )
    await message.reply(text)
