"""What is asked on the control socket, and what is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drd.core.lines import text
from drd.daemon.board import Board
from drd.daemon.running import Running
from drd.errors import DrdError
from drd.model import Json


def answer(
    question: Mapping[str, Json], board: Board, running: Iterable[Running], status: str
) -> Mapping[str, Json]:
    """Answer *question*; a wish (``run``) is noted on the *board*."""
    asked = text(question, "ask")
    try:
        if asked == "run":
            return _run(question, board)
        if asked == "status":
            return {"status": status, "running": [_told(one) for one in running]}
    except DrdError as error:
        return {"error": error.message, "hint": error.hint}
    return {"error": f"unknown question {asked!r}"}


def _run(question: Mapping[str, Json], board: Board) -> Mapping[str, Json]:
    """Points of images are wanted now; all or none of them."""
    names = question.get("names")
    wanted = [str(one) for one in names] if isinstance(names, list) else []
    images, missing = board.named(wanted)
    unscheduled = [one.label for one in images if not board.is_scheduled(one)]
    if not missing and not unscheduled:
        for one in images:
            board.want(one.identity)
    return {
        "images": [*sorted(one.label for one in images)],
        "missing": [*missing],
        "unscheduled": [*unscheduled],
    }


def _told(one: Running) -> Json:
    record = one.record
    return {
        "run": record.run,
        "kind": record.kind,
        "image": record.label or record.subject,
        "started_at": record.started_at.isoformat(),
        "stage": one.stage,
        "done": one.done,
        "total": one.total,
    }
