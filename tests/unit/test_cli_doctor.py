"""What doctor says to do when a check fails: not to run doctor."""

from __future__ import annotations

import pytest

from drd.cli.doctor import _tried
from drd.cli.output import error_json
from drd.errors import DrdError, SourceError, StoreError, TransientStoreError


@pytest.mark.parametrize("kind", [StoreError, TransientStoreError, SourceError])
def test_who_runs_doctor_is_not_told_to_run_it(kind: type[DrdError]) -> None:
    def fails(hint: str) -> DrdError:
        def step() -> str:
            raise kind("no answer", about="somewhere", hint=hint)

        error = _tried("one", step).error
        assert error is not None
        return error

    assert "doctor" in kind.next_step
    hint = str(error_json(fails(""))["hint"])
    assert hint
    assert "doctor" not in hint
    assert fails("call Bob").hint == "call Bob"
