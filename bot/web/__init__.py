"""The web API: JSON in, the same dispatch as the chat, JSON out."""
