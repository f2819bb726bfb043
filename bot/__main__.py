"""`python -m bot`: read the settings, run the bot."""

import asyncio
import sys

from bot.app import WrongToken, run
from bot.settings import BotSettings, bot_settings
from tasks.logs import set_up
from tasks.settings import SettingsError


def main() -> int:
    """Run until told to stop; the exit status."""
    try:
        settings = _settings()
        set_up("bot", settings)
        asyncio.run(run(settings))
    except SettingsError as error:
        sys.stderr.write(f"Wrong setting: {error}\n")
        return 2
    except WrongToken:
        sys.stderr.write("Wrong setting: TELEGRAM_BOT_TOKEN is not known to Telegram: get one from @BotFather\n")
        return 2
    return 0


def _settings() -> BotSettings:
    settings = bot_settings()
    if not settings.telegram_bot_token.get_secret_value():
        raise SettingsError("TELEGRAM_BOT_TOKEN is empty: get one from @BotFather, or try the bot with `make run`")
    return settings


if __name__ == "__main__":
    sys.exit(main())
