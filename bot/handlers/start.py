"""`/start` and `/help`: what the bot does."""

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import BotCommand, Message

HELP = """\
I download manga chapters and send them to this chat as one archive.

<b>How</b>
• {search}, and pick the title
• press <b>Chapters</b>, tick what you want, or answer with <code>1-5, 8, 12.5, latest 3</code>
• press <b>Download</b>: one message shows how far it is, then the file comes

<b>Commands</b>
{commands}"""
IN_PRIVATE = "send a title"
IN_A_GROUP = "send /search and a title"

COMMANDS = [
    BotCommand(command="search", description="Find a title"),
    BotCommand(command="download", description="Source and chapter ids: download at once"),
    BotCommand(command="sources", description="Where the chapters come from"),
    BotCommand(command="jobs", description="Your downloads"),
    BotCommand(command="cancel", description="Cancel your newest download"),
    BotCommand(command="history", description="What you got, to get again"),
    BotCommand(command="forget", description="Remove what is stored about you"),
    BotCommand(command="help", description="What I do"),
]


def router() -> Router:
    routes = Router(name="start")
    routes.message.register(help_text, CommandStart())
    routes.message.register(help_text, Command("help"))
    return routes


async def help_text(message: Message) -> None:
    commands = "\n".join(f"/{command.command} – {command.description}" for command in COMMANDS)
    search = IN_PRIVATE if message.chat.type == "private" else IN_A_GROUP
    await message.reply(HELP.format(search=search.capitalize(), commands=commands))
