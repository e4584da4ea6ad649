"""The table of `docs/benchmarks.md` (between its markers) and the drawing beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from benchmarks import suite
from benchmarks.figures import Row

BEGIN: Final = "<!-- measured: begin -->"
END: Final = "<!-- measured: end -->"
WIDTH: Final = 1100
LINE: Final = 30
LEFT: Final = 620
ROOM: Final = 220


def write(whole: Row, docs: Path) -> None:
    """Put the tables into the page, and draw."""
    page = docs / "benchmarks.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    body = f"{BEGIN}\n\n{_page(whole)}\n{END}"
    page.write_text(f"{before}{body}{after}", encoding="utf-8")
    (docs / "benchmarks.svg").write_text(drawing(whole), encoding="utf-8")


def _rows(whole: Row) -> list[Row]:
    """All figures, in the order of the suite."""
    results = whole["results"]
    return [row for name in suite.ALL if name in results for row in results[name]["figures"]]


def table(whole: Row) -> str:
    """All figures with a target, then those without."""
    goals = [row for row in _rows(whole) if "target" in row]
    others = [row for row in _rows(whole) if "target" not in row]
    lines = []
    if goals:
        lines += ["| figure | measured | target | reached | how |", "|---|---|---|---|---|"]
        lines += [
            f"| {row['name']} | {_value(row)} | {_target(row)} | "
            f"{'yes' if row['reached'] else '**no**'} | {row['beside']} |"
            for row in goals
        ]
        lines.append("")
    if others:
        lines += ["| also measured | | how |", "|---|---|---|"]
        lines += [f"| {row['name']} | {_value(row)} | {row['beside']} |" for row in others]
        lines.append("")
    return "\n".join(lines)


def _page(whole: Row) -> str:
    lines = [table(whole)]
    for name in suite.ALL:
        row = whole["results"].get(name)
        if row is None:
            lines.append(f"- **{name}**: not measured yet.")
            continue
        facts = row["machine"]
        quick = ", small sizes only" if row["quick"] else ""
        lines.append(
            f"- **{name}** ({row['about']}): {row['measured_at'][:16].replace('T', ' ')} UTC, commit "
            f"`{row['commit']}`{quick}, {facts['cores']} cores of {facts['processor']}, Python "
            f"{facts['python']}; load before it began {row['load_before']}; took {row['seconds']:.0f} s."
        )
        lines += [f"  - {note}" for note in row["notes"]]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 20 else 2 if value >= 0.1 else 3
    return f"{value:,.{digits}f}"


def _value(row: Row) -> str:
    unit = {"x": " ×", "%": " %"}.get(row["unit"], f" {row['unit']}")
    return f"{_number(row['value'])}{unit}"


def _target(row: Row) -> str:
    sign = "≤" if row["target_is"] == "at most" else "≥"
    return f"{sign} {_value({'value': row['target'], 'unit': row['unit']})}"


# ── the drawing ─────────────────────────────────────────────────────────────────────────────────
def drawing(whole: Row) -> str:
    """A bar for each figure with a target: how far it goes, where 1 is the target itself."""
    rows = [row for row in _rows(whole) if "target" in row]
    height = LINE * len(rows) + 60
    size = f'width="{WIDTH}" height="{height}"'
    title = "Each figure against its target (the line; a longer bar is better)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14">{title}</text>',
    ]
    for number, row in enumerate(rows):
        parts += _bar(row, 36 + number * LINE)
    target = LEFT + ROOM / 2
    parts.append(
        f'<line x1="{target}" y1="30" x2="{target}" y2="{height - 14}" stroke="#222222" '
        'stroke-dasharray="4 3"/>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, top: int) -> list[str]:
    """One figure: name, bar, value. Twice as good as the target fills the room."""
    better = row["value"] / row["target"] if row["target"] else 0.0
    if row["target_is"] == "at most":
        better = 1 / better if better else 2.0
    length = min(better, 2.0) * ROOM / 2
    colour = "#2f7d4f" if row["reached"] else "#b5482f"
    told = f"{_value(row)} (target {_target(row)})"
    return [
        f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(row["name"])}</text>',
        f'<rect x="{LEFT}" y="{top + 3}" width="{length:.1f}" height="{LINE - 12}" fill="{colour}"/>',
        f'<text x="{LEFT + ROOM + 8}" y="{top + 15}">{escape(told)}</text>',
    ]
