"""Faults on order: what Telegram does on a bad day, for tests."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Fault(BaseModel):
    """What happens to the next `times` calls of `method` instead of the usual.

    `body` is sent as HTML in place of JSON; `drop` closes the connection without an answer; `do_it` does what was asked
    before that, and `answer` then answers as usual; `unread` leaves the body of the call unread; `delay` waits so many
    seconds before the answer, and `late` so many before anything is done.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    times: int = 1
    status: int = 500
    description: str = "Internal Server Error"
    parameters: dict[str, Any] = {}
    body: str | None = None
    drop: bool = False
    do_it: bool = False
    answer: bool = False
    unread: bool = False
    delay: float = 0.0
    late: float = 0.0


class Faults:
    """Faults that wait for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._used: set[str] = set()

    def order(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def next_for(self, method: str) -> Fault | None:
        """The fault for this call, if one is due; it counts as used."""
        for fault in self._waiting:
            if fault.method.lower() == method.lower() and fault.times > 0:
                fault.times -= 1
                self._used.add(fault.method)
                return fault
        return None

    def used(self, method: str) -> bool:
        """Whether a fault ordered for that method has come over a call."""
        return method in self._used
