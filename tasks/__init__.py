"""The download queue: `celery -A tasks` finds its app in `tasks.celery`."""
