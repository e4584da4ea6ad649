"""The time zones of the European Union, and the days on which their clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EU_ZONES: Final = (
    "Africa/Ceuta",
    "America/Cayenne",
    "America/Guadeloupe",
    "America/Marigot",
    "America/Martinique",
    "Asia/Famagusta",
    "Asia/Nicosia",
    "Atlantic/Azores",
    "Atlantic/Canary",
    "Atlantic/Madeira",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/Bratislava",
    "Europe/Brussels",
    "Europe/Bucharest",
    "Europe/Budapest",
    "Europe/Busingen",
    "Europe/Copenhagen",
    "Europe/Dublin",
    "Europe/Helsinki",
    "Europe/Lisbon",
    "Europe/Ljubljana",
    "Europe/Luxembourg",
    "Europe/Madrid",
    "Europe/Malta",
    "Europe/Mariehamn",
    "Europe/Paris",
    "Europe/Prague",
    "Europe/Riga",
    "Europe/Rome",
    "Europe/Sofia",
    "Europe/Stockholm",
    "Europe/Tallinn",
    "Europe/Vienna",
    "Europe/Vilnius",
    "Europe/Warsaw",
    "Europe/Zagreb",
    "Indian/Mayotte",
    "Indian/Reunion",
)
"""zone.tab of the IANA database: all zones of the member states, their outermost regions among them."""


def change_days(first: int, last: int) -> list[datetime]:
    """The moments at which clocks change in the Union (Directive 2000/84/EC): 01:00 UTC on the last
    Sundays of March and October of each year from *first* to *last*.
    """
    return [_last_sunday(year, month) for year in range(first, last + 1) for month in (3, 10)]


def _last_sunday(year: int, month: int) -> datetime:
    end = datetime(year, month, 31, 1, tzinfo=UTC)
    return end - timedelta(days=end.isoweekday() % 7)
