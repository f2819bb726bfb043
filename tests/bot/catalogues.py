"""What the bot can say, read from its source, and the catalogues brought up to date with it: `make locales`.

Not Babel's own extractor: it does not see calls inside of f-strings before Python 3.12.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from bot.language import CATALOGUES

BOT = CATALOGUES.parent
SPOKEN_BY = {"say": 1, "mark": 1, "many": 2}
"""Functions of `bot.language`, and how many texts they take first."""


class NotPlain(Exception):
    """A text is put together where it is said: no catalogue can hold it."""


def texts() -> set[str | tuple[str, ...]]:
    """Every text in the source, with its plural where it has one. Raises `NotPlain`."""
    return {found for path in BOT.rglob("*.py") for found in _said_in(path)}


def _said_in(path: Path) -> Iterator[str | tuple[str, ...]]:
    for node in ast.walk(ast.parse(path.read_text())):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if isinstance(node, ast.Call) and name in SPOKEN_BY and path.name != "language.py":
            found = [one for argument in node.args[: SPOKEN_BY[name]] for one in _plain(argument, path)]
            if name == "many":
                yield tuple(found)
            else:
                yield from found


def _plain(argument: ast.expr, path: Path) -> list[str]:
    match argument:
        case ast.Constant(value=str(text)):
            return [text] if text else []
        case ast.IfExp(body=one, orelse=other):
            return _plain(one, path) + _plain(other, path)
        case ast.JoinedStr() | ast.BinOp():
            raise NotPlain(f"{path.name}:{argument.lineno}")
    return []  # a constant that is marked where it is made


def catalogue(code: str) -> Catalog:
    """The catalogue of that language as it is on disk."""
    path = CATALOGUES / f"{code}.po"
    with path.open("rb") as file:
        return read_po(file, locale=code.replace("-", "_"))


def main() -> None:
    """Add what is new to every catalogue, and drop what is not said any more."""
    template = Catalog()
    for text in sorted(texts(), key=str):
        template.add(text)
    for path in CATALOGUES.glob("*.po"):
        found = catalogue(path.stem)
        found.update(template, no_fuzzy_matching=True)
        with path.open("wb") as file:
            write_po(file, found, omit_header=True, ignore_obsolete=True, sort_output=True, width=0)


if __name__ == "__main__":
    main()
