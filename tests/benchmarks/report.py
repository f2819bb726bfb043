"""What a benchmark found: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One figure, and what it should be: at most the `goal`, or at least that. None = it is only told."""

    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    at_least: bool = False

    @property
    def is_reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines."""
    width = max((len(figure.what) for figure in figures), default=0)
    return "\n".join(f"{figure.what:<{width}}  {_value(figure):>14}  {_goal(figure)}".rstrip() for figure in figures)


def _value(figure: Figure) -> str:
    return f"{figure.value:.3g} {figure.unit}" if abs(figure.value) < 1000 else f"{figure.value:.0f} {figure.unit}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    mark = "✔" if figure.is_reached else "✘"
    return f"{mark} {'≥' if figure.at_least else '≤'} {figure.goal:g}"


def write(figures: Sequence[Figure], path: Path) -> None:
    """The figures as JSON."""
    path.write_text(json.dumps([{**asdict(one), "is_reached": one.is_reached} for one in figures], indent=1) + "\n")
