"""One machine, one command, no account: a stand-in for Telegram, an embedded Redis, and what starts them all."""
