"""How the Bot API says no."""

from typing import Any


class ApiError(Exception):
    """An error answer of the Bot API, in its own words; `breach` = a well-behaved bot never earns it."""

    def __init__(self, code: int, description: str, *, breach: bool = False, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.breach = breach
        self.parameters = parameters


def bad_request(text: str, *, breach: bool = False, **parameters: Any) -> ApiError:
    return ApiError(400, f"Bad Request: {text}", breach=breach, **parameters)
