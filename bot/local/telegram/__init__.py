"""A stand-in for Telegram on this machine: the Bot API, as strict as the real one, with a chat page for people."""

from bot.local.telegram.server import STAND_IN_TOKEN, StandIn, serve

__all__ = ["STAND_IN_TOKEN", "StandIn", "serve"]
