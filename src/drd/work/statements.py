"""Say something of a lineage, signed, and hear what was said: :mod:`drd.core.statement` in a bucket.

What is said is put once and never again; to take it back is a further statement. Of several versions under
one name the first that verifies is the one meant: who may only add versions can neither change nor hide it.
"""

from __future__ import annotations

from collections.abc import Mapping

from drd.core import names, statement
from drd.core.seal import SALT_BYTES, SealOrder
from drd.core.statement import Shut, Statement
from drd.errors import IntegrityError, ObjectMissingError
from drd.model import Json, ObjectVersion
from drd.ports import Random
from drd.work.lineagekeys import LineageKeys
from drd.work.once import put_once
from drd.work.repository import Repository


def say(keys: LineageKeys, said: Statement, *, random: Random) -> str:
    """Seal, sign and put a statement; return its name.

    Raises:
        KeyAccessError: these keys sign nothing, or do not open the lineage.
        IntegrityError: trust does not let this key say it: nobody would believe it, so it is not put.
        ObjectExistsError: the name is taken by something else.
    """
    repository = keys.repository
    generation = keys.current.number
    order = SealOrder(said.scope, generation, keys.metadata(generation), random(SALT_BYTES))
    unsigned = statement.encode(said, order)
    data = unsigned.encode(*repository.ring.sign(unsigned.to_sign))
    statement.verify(statement.decode(data), repository.trust, scope=said.scope, key=said.key)
    put_once(repository.store, said.key, data)
    return said.key


def hear(repository: Repository, lineage: bytes, key: str) -> Shut:
    """The statement under *key*: the first version that verifies.

    Raises:
        ObjectMissingError: there is none.
        IntegrityError: nothing under that name verifies.
    """
    return heard(repository, lineage, key)[0]


def heard(repository: Repository, lineage: bytes, key: str) -> tuple[Shut, bytes, ObjectVersion]:
    """As :func:`hear`; with the object's bytes, and what the store says of that version of it."""
    versions = repository.store.versions(key)
    if not versions:
        raise ObjectMissingError("there is no such statement", about=key)
    problem: IntegrityError | None = None
    for version in versions:
        try:
            data = repository.store.get(key, version=version.version)
            shut = statement.decode(data)
            statement.verify(shut, repository.trust, scope=repository.scope(lineage), key=key)
        except IntegrityError as error:
            problem = error
            continue
        return shut, data, version
    why = problem.message if problem else "no version of it can be read"
    raise IntegrityError(f"a statement does not verify: {why}", about=key) from problem


def words(shut: Shut, keys: LineageKeys) -> Mapping[str, Json]:
    """What people wrote.

    Raises:
        KeyAccessError: no slot opens with the keys at hand.
        IntegrityError: the sealed part is not what was sealed.
    """
    return statement.open_sealed(shut, keys.metadata(shut.generation))


def text(of: Mapping[str, Json], name: str) -> str:
    """A word of a statement; ``""`` where it has none, or it is no text that can be shown."""
    value = of.get(name)
    if not isinstance(value, str):
        return ""
    return value.encode(errors="replace").decode()


def folder_of(repository: Repository, lineage: bytes | None = None) -> str:
    """Where statements about one lineage lie, or those about all."""
    tenant = repository.tenant
    return f"h/{tenant.hex()}/" if lineage is None else names.statement_folder(tenant, lineage)
