"""What comes back: job events become status messages, finished files go to the chats."""
