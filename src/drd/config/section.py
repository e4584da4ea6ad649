"""What all tables of the configuration have in common: strict, frozen, no unknown key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

UNKNOWN_KEY: Final = "unknown_key"
UNKNOWN: Final = "is an unknown key, the nearest known one is '{near}'"


def refuse_unknown(cls: type[BaseModel], data: object) -> object:
    """Refuse keys that a table does not have, and name the nearest that it has.

    Raises:
        PydanticCustomError: of type ``UNKNOWN_KEY``, about the first of them; its context has ``key``,
            ``near``, ``known``, and as ``others`` the same of each one after it.
    """
    keys = [key for key in data if key not in cls.model_fields] if isinstance(data, Mapping) else []
    if keys:
        known = list(cls.model_fields)
        first, *others = [
            {
                "key": str(key),
                "near": difflib.get_close_matches(str(key), known, 1, cutoff=0.0)[0],
                "known": ", ".join(known),
            }
            for key in keys
        ]
        raise PydanticCustomError(UNKNOWN_KEY, UNKNOWN, {**first, "others": others})
    return data


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        return refuse_unknown(cls, data)
