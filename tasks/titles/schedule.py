"""When titles are looked at. Pure."""

HOUR = 3600.0
LONGEST_PAUSE = 6 * HOUR
"""After looks that did not go well the next one waits longer each time, up to that."""
MOST_DOUBLINGS = 20
EARLY = 0.25
"""Part of the time between two rounds by which a title may be looked at too early, rather than a whole round too late."""


def interval(titles: int, seconds: float, at_once: int) -> float:
    """Seconds between two looks at a title of a source that has so many followed ones, of which a request tells `at_once`.

    About one request in `seconds`, and each title once an hour however many there are.
    """
    requests = -(-titles // max(at_once, 1))
    return min(max(requests, 1) * seconds, max(HOUR, seconds))


def round_seconds(seconds: float) -> float:
    """How long it is from one round to the next, where a source is asked once in so many seconds."""
    return min(60.0, seconds)


def early(now: float, seconds: float) -> float:
    """Titles that are due by then belong to the round that begins now."""
    return now + EARLY * round_seconds(seconds)


def next_look(key: str, now: float, every: float, looked_at: float, failures: int = 0) -> float:
    """When to look at the title of that key again, which was looked at well at `looked_at` before.

    One that was not for long, as nobody looked or it is new, gets a place of its own in the time to come: those that were
    due together are not the next time.
    """
    wait = min(every * 2.0 ** min(failures, MOST_DOUBLINGS), max(LONGEST_PAUSE, every))
    return now + wait * (0.5 + place(key) if now - looked_at > 1.5 * every else 1.0)


def place(key: str) -> float:
    """From 0 to 1: always the same for a title, and another one for each."""
    return int(key[:8], 16) / 16**8
