"""What all tables of the configuration have in common: strict, frozen, no unknown key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

UNKNOWN_KEY: Final = "unknown_key"


def refuse_unknown(cls: type[BaseModel], data: object) -> object:
    """Refuse keys that a table does not have, and name the nearest that it has.

    Raises:
        PydanticCustomError: of type ``UNKNOWN_KEY``; its context has ``key``, ``near``, ``known``.
    """
    for key in data if isinstance(data, Mapping) else ():
        if key not in cls.model_fields:
            known = list(cls.model_fields)
            near = difflib.get_close_matches(str(key), known, 1, cutoff=0.0)[0]
            raise PydanticCustomError(
                UNKNOWN_KEY,
                "is an unknown key, the nearest known one is '{near}'",
                {"key": str(key), "near": near, "known": ", ".join(known)},
            )
    return data


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        return refuse_unknown(cls, data)
