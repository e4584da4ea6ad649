"""The conformance suite against every store there is."""

from __future__ import annotations

import pytest

from drd.model import StoreAbilities
from drd.testing.store_conformance import BIG_CHECKS, CHECKS, Check, marker_hides_nothing
from tests.contract.conftest import SUBJECTS, Subject

NOT_FOR_MOTO = {"lists_in_order", "works_from_threads", "one_wins_a_race", "never_torn"}
"""Moto loses the entry behind a marker that is no key itself, and is not made for threads."""

FOR_ALL = [pair for pair in CHECKS if pair[1].__name__ not in NOT_FOR_MOTO]
FOR_TRUE_STORES = [pair for pair in CHECKS if pair[1].__name__ in NOT_FOR_MOTO]


def checks(*checks: tuple[str, Check]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("check", [c for _, c in checks], ids=lambda c: c.__name__)


@checks(*FOR_ALL)
def test_every_store_keeps_the_contract(subject: Subject, check: Check) -> None:
    check(subject.store)
    assert not list(subject.store.list("probe/"))


@checks(*FOR_TRUE_STORES)
@pytest.mark.parametrize(
    "subject", [name for name in SUBJECTS if not name.startswith("moto")], indirect=True
)
def test_every_true_store_keeps_all_of_it(subject: Subject, check: Check) -> None:
    check(subject.store)
    assert not list(subject.store.list("probe/"))


@checks(*BIG_CHECKS)
@pytest.mark.parametrize("subject", ["memory", "local", "minio", "rgw"], indirect=True)
def test_every_store_carries_big_things(subject: Subject, check: Check) -> None:
    check(subject.store)


@pytest.mark.parametrize(
    "subject",
    [name for name in SUBJECTS if name != "local" and "unversioned" not in name],
    indirect=True,
)
def test_a_delete_marker_hides_nothing(subject: Subject) -> None:
    assert subject.mark is not None
    marker_hides_nothing(subject.store, subject.mark)


ABILITIES = {
    "memory-unconditional": StoreAbilities(conditional_put=False, versioned=True),
    "local": StoreAbilities(conditional_put=True, versioned=False),
    "minio": StoreAbilities(conditional_put=True, versioned=True),
    "minio-unversioned": StoreAbilities(conditional_put=True, versioned=False),
    # RGW 16 ignores If-None-Match without a sign where the bucket is versioned, and only there.
    "rgw": StoreAbilities(conditional_put=False, versioned=True),
    "rgw-unversioned": StoreAbilities(conditional_put=True, versioned=False),
}


@pytest.mark.parametrize(
    "subject,able", ABILITIES.items(), ids=list(ABILITIES), indirect=["subject"]
)
def test_abilities_are_found_by_effect(subject: Subject, able: StoreAbilities) -> None:
    assert subject.store.abilities() == able
