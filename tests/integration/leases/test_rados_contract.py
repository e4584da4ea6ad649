"""The conformance suite of leases against a real cluster."""

from __future__ import annotations

import pytest

from drd.testing import lease_conformance as suite
from tests.integration.leases.conftest import Leases

CHECKS = (
    *suite.LEASE_CHECKS,
    *suite.PROCESS_CHECKS,
    *suite.BROKEN_CHECKS,
    *suite.EXPIRING_CHECKS,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_rados_keeps_the_contract(leases: Leases, check: suite.LeaseCheck) -> None:
    check(leases)
