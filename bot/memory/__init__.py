"""What the bot remembers in Redis. Each file owns its keys, which begin with `manhwa:bot:`."""
