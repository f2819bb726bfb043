"""When titles are looked at. Pure."""

HOUR = 3600.0
LONGEST_PAUSE = 6 * HOUR
"""After looks that did not go well the next one waits longer each time, up to that."""


def interval(titles: int, seconds: float, at_once: int) -> float:
    """Seconds between two looks at a title of a source that has so many followed ones, of which a request tells `at_once`.

    About one request in `seconds`, and each title once an hour however many there are.
    """
    requests = -(-titles // max(at_once, 1))
    return min(max(requests, 1) * seconds, max(HOUR, seconds))


def next_look(key: str, now: float, every: float, looked_at: float, failures: int = 0) -> float:
    """When to look at the title of that key again, which was looked at well at `looked_at` before.

    One that was not for long, as nobody looked or it is new, gets a place of its own in the time to come: those that were
    due together are not the next time.
    """
    wait = min(every * 2.0**failures, max(LONGEST_PAUSE, every))
    return now + wait * (0.5 + place(key) if now - looked_at > 1.5 * every else 1.0)


def place(key: str) -> float:
    """From 0 to 1: always the same for a title, and another one for each."""
    return int(key[:8], 16) / 16**8
