"""What a benchmark finds: figures with their targets, and every single measurement behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: at least *limit*, or at most."""

    limit: float
    at_most: bool = False

    def reached(self, value: float) -> bool:
        """Whether *value* reaches it."""
        return value <= self.limit if self.at_most else value >= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    ``unit`` is ``x`` (a ratio), ``s``, ``MiB``, ``MiB/s`` or the like; ``beside`` says what it was
    measured against and how.
    """

    name: str
    value: float
    unit: str
    goal: Goal | None = None
    beside: str = ""

    def as_row(self) -> Row:
        """As the JSON file has it."""
        row: Row = {"name": self.name, "value": self.value, "unit": self.unit}
        row["beside"] = self.beside
        if self.goal is not None:
            row["target"] = self.goal.limit
            row["target_is"] = "at most" if self.goal.at_most else "at least"
            row["reached"] = self.goal.reached(self.value)
        return row


@dataclass(slots=True)
class Result:
    """What one benchmark found. ``series`` has each measurement, by name, in the order taken."""

    figures: list[Figure] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def measure(self, name: str, value: float) -> float:
        """Keep one measurement; return it."""
        self.series.setdefault(name, []).append(value)
        return value

    def median(self, name: str) -> float:
        """The median of a series."""
        return median(self.series[name])

    def worst(self, name: str) -> float:
        """The largest of a series."""
        return max(self.series[name])

    def ratio(self, above: str, below: str) -> float:
        """The median of *above* divided by *below*, round by round."""
        rounds = zip(self.series[above], self.series[below], strict=True)
        return median(one / other for one, other in rounds)

    def add(self, figure: Figure) -> None:
        """One more line of the table."""
        self.figures.append(figure)

    def as_row(self) -> Row:
        """As the JSON file has it."""
        return {
            "figures": [figure.as_row() for figure in self.figures],
            "series": self.series,
            "notes": self.notes,
        }
