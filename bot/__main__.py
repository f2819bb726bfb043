"""`python -m bot`: read the settings, run the bot."""

import asyncio

from bot.app import WrongToken, run
from bot.settings import BotSettings, bot_settings
from tasks.logs import set_up
from tasks.settings import SettingsError, refused


def main() -> None:
    """Run until told to stop."""
    try:
        settings = _settings()
        set_up("bot", settings)
        asyncio.run(run(settings))
    except SettingsError as error:
        raise refused(error) from None
    except WrongToken:
        unknown = SettingsError("TELEGRAM_BOT_TOKEN is not known to Telegram: get one from @BotFather")
        raise refused(unknown) from None


def _settings() -> BotSettings:
    settings = bot_settings()
    if not settings.telegram_bot_token.get_secret_value():
        raise SettingsError("TELEGRAM_BOT_TOKEN is empty: get one from @BotFather, or try the bot with `make run`")
    return settings


if __name__ == "__main__":
    main()
