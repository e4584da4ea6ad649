"""From the TOML file to a :class:`Config`, or to one error that says where, what, and what instead."""

from __future__ import annotations

import difflib
import glob
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from drd.config.faults import EXPLAINED, Fault, KeyPath, Page, as_error
from drd.config.section import UNKNOWN, UNKNOWN_KEY, refuse_unknown
from drd.config.sections import Config, DeviceSource
from drd.errors import ConfigError

MAX_BYTES: Final = 1 << 20
SOURCE_TYPES: Final = ("rbd", "device")

_AT_LINE: Final = re.compile(r"at line ([0-9]+)")
_HEADER: Final = re.compile(r"\s*(\[\[?[^\[\]]+\]\]?)\s*(?:#.*)?")
_ENTRY: Final = re.compile(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=")

_KINDS: Final[Mapping[str, str]] = {
    "tuple_type": "a list of strings",
    "is_instance_of": "a string",
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
"""pydantic's names for a value of the wrong kind, and what TOML calls the right one. Every list of the
configuration holds strings, every instance asked for is a path."""

Model = TypeVar("Model", bound=BaseModel)


def load_config(path: Path) -> Config:
    """Read and check a configuration file; relative paths in it are taken from its folder.

    Raises:
        ConfigError: it cannot be read, is no TOML, or something in it is wrong; every fault is
            named with its line and key, unknown keys with the nearest known one.
    """
    return read_config(read_text(path), path)


def read_config(text: str, path: Path) -> Config:
    """Check *text*, what the file *path* holds or held; relative paths are taken from its folder.

    Raises:
        ConfigError: see :func:`load_config`.
    """
    config, faults = parse_config(text, path)
    if config is None:
        raise as_error(faults, str(path))
    return config


def parse_config(text: str, path: Path) -> tuple[Config | None, list[Fault]]:
    """As :func:`read_config`, but what is wrong is returned; then there is no configuration."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        line = int(match[1]) if match else 0
        told = f"is no TOML: {error}"
        return None, [Fault("error", str(path), line, "", told, "see config/drd.toml")]
    config, found = _examined(data)
    if config is None:
        return None, _told(found, text, path)
    return resolve_paths(config, path.absolute().parent), []


def check_config(data: Mapping[str, Any], *, text: str = "", about: str = "") -> Config:
    """Check values that were parsed from *text*, the file *about*.

    Raises:
        ConfigError: see :func:`load_config`.
    """
    config, found = _examined(data)
    if config is None:
        raise as_error(_told(found, text, Path(about)), about)
    return config


def _examined(data: Mapping[str, Any]) -> tuple[Config | None, list[_Found]]:
    """The configuration, or all that pydantic finds wrong. Where a table has an unknown key, pydantic looks
    at nothing else in it, nor in the tables inside: so those keys are taken out, and it looks again.
    """
    unknown: list[_Found] = []
    while True:
        try:
            config = _checked(data)
        except (PydanticCustomError, ValidationError) as error:
            found = _found(error)
        else:
            return (None if unknown else config), unknown
        new = [one for one in found if one.kind == UNKNOWN_KEY]
        less = _without(data, [_sentence(one)[0] for one in new])
        if less == data:
            return None, unknown + [one for one in found if not _may_follow(one, unknown)]
        unknown, data = unknown + new, less


def _without(data: Mapping[str, Any], keys: Iterable[KeyPath]) -> Mapping[str, Any]:
    """A copy of *data* that has none of *keys*."""
    less: dict[str, Any] = deepcopy(dict(data))
    for *way, last in keys:
        table: Any = less
        for key in way:
            table = table.get(key) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.pop(last, None)
    return less


def _may_follow(fault: _Found, unknown: Iterable[_Found]) -> bool:
    """Whether *fault* may be there only because an *unknown* key was taken out: what is missing, or what a
    table needs, may be what was misspelt.
    """
    keys, _ = _sentence(fault)
    tables = {_sentence(one)[0][:-1] for one in unknown}
    if fault.kind == "missing":
        return keys[:-1] in tables
    return any(table[: len(keys)] == keys for table in tables)


def _checked(data: Mapping[str, Any]) -> Config:
    # pydantic-settings takes arguments of its own that begin with an underscore, such as the name of
    # a further file to read: a key of the file must not become one.
    refuse_unknown(Config, data)
    return Config(**data)


def read_text(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError("the configuration is too large to be one", about=str(path))
        return data.decode()
    except FileNotFoundError as error:
        raise ConfigError(
            "there is no configuration here",
            about=str(path),
            hint="name one with --config FILE or DRD_CONFIG; config/drd.toml is an example",
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"the configuration cannot be read: {reason}", about=str(path)) from error


# ── faults ──────────────────────────────────────────────────────────────────────────────────────
class _Found(NamedTuple):
    """One thing that pydantic found: where, its name for it, its sentence, its particulars."""

    location: tuple[int | str, ...]
    kind: str
    sentence: str
    context: Mapping[str, Any] | None


def _found(error: PydanticCustomError | ValidationError) -> list[_Found]:
    """What pydantic found: each unknown key by itself."""
    if isinstance(error, PydanticCustomError):
        found = [_Found((), error.type, error.message(), error.context)]
    else:
        details = error.errors(include_url=False, include_input=False)
        found = [_Found(one["loc"], one["type"], one["msg"], one.get("ctx")) for one in details]
    return [part for one in found for part in (one, *_others(one))]


def _told(found: Iterable[_Found], text: str, path: Path) -> list[Fault]:
    """The same in the words of this file and with its lines, by line."""
    page = Page(path, dict(key_lines(text)))
    faults = []
    for one in found:
        keys, sentence = _sentence(one)
        known = (one.context or {}).get("known") if one.kind == UNKNOWN_KEY else None
        faults.append(page.error(keys, sentence, f"known here: {known}" if known else EXPLAINED))
    return sorted(faults, key=lambda one: one.line)


def _others(fault: _Found) -> Iterator[_Found]:
    """The further unknown keys of one table: pydantic tells one fault of it."""
    for context in (fault.context or {}).get("others", ()) if fault.kind == UNKNOWN_KEY else ():
        yield _Found(fault.location, UNKNOWN_KEY, UNKNOWN.format(**context), context)


def _sentence(fault: _Found) -> tuple[KeyPath, str]:
    """Full path of the key that is at fault, and the sentence that follows it."""
    keys = _without_tags(fault.location)
    kind, context = fault.kind, fault.context or {}
    if kind == UNKNOWN_KEY:
        return (*keys, context["key"]), fault.sentence
    if kind == "missing":
        return keys, "is missing"
    if kind == "union_tag_not_found":
        return (*keys, "type"), f"is missing: it is one of {', '.join(SOURCE_TYPES)}"
    if kind == "union_tag_invalid":
        tag = str(context["tag"])
        near = difflib.get_close_matches(tag, SOURCE_TYPES, 1, cutoff=0.0)[0]
        return (*keys, "type"), f"is {tag!r}, which is no type of source, the nearest is {near!r}"
    if kind == "value_error":
        return keys, str(context["error"])
    sentence = fault.sentence[:1].lower() + fault.sentence[1:]
    return (
        keys,
        f"is wrong: it should be {_kind(fault)}" if kind in _KINDS else f"is wrong: {sentence}",
    )


def _kind(fault: _Found) -> str:
    """What a value of the wrong kind should be; a part of a list is what the list is full of."""
    inside = bool(fault.location) and isinstance(fault.location[-1], int)
    return "a list of strings, all of them" if inside else _KINDS[fault.kind]


def _without_tags(location: tuple[int | str, ...]) -> KeyPath:
    """A location of pydantic as a path of keys: it names the type of a source as if it were a key."""
    keys = [part for part in location if isinstance(part, str) and part != "[key]"]
    match keys:
        case ["source", name, tag, *rest] if tag in SOURCE_TYPES:
            return ("source", name, *rest)
    return tuple(keys)


def key_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Paths of tables and keys in a TOML file, with their lines; as well as a line tells.

    A table or key inside a text or list of several lines may be taken for one, which only makes a
    message name that line; whatever is not understood is left out.
    """
    seen: set[KeyPath] = set()
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.fullmatch(line)
        entry = _ENTRY.match(line)
        if header:
            table = found = _path(header[1])
        elif entry:
            found = (*table, *_path(f"{entry[1]} = 0"))
        else:
            continue
        if found and found not in seen:
            seen.add(found)
            yield found, number


def _path(toml: str) -> KeyPath:
    """Keys from the top of *toml* down to its only leaf."""
    try:
        parsed: Any = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return ()
    keys: list[str] = []
    while isinstance(parsed, dict) and parsed:
        keys.append(next(iter(parsed)))
        parsed = parsed[keys[-1]]
    return tuple(keys)


# ── paths ───────────────────────────────────────────────────────────────────────────────────────
def resolve_paths(model: Model, folder: Path) -> Model:
    """A copy of *model* with every relative path taken from *folder*."""
    changed = {name: _resolved(getattr(model, name), folder) for name in type(model).model_fields}
    if isinstance(model, DeviceSource):  # patterns: the folder of the file is no part of them
        escaped = Path(glob.escape(str(folder)))
        changed["paths"] = tuple(escaped / one for one in model.paths)
    return model.model_copy(update=changed)


def _resolved(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, BaseModel):
        return resolve_paths(value, folder)
    if isinstance(value, tuple):
        return tuple(_resolved(one, folder) for one in value)
    if isinstance(value, dict):
        return {key: _resolved(one, folder) for key, one in value.items()}
    return value
