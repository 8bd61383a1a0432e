"""Event tables: read, check and write the play-by-play JSON that FOOTPASS uses for ground truth and predictions."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from footpass_lib.files import read_text, write_text
from footpass_lib.schema import N_CLASSES, FootpassError, game_of, games_of, parse_half

Kind = Literal["truth", "predictions"]
COLUMNS = ("half", "frame", "team", "jersey", "class", "score", "box", "replay")
FIELDS = {
    "truth": ("frame", "team", "jersey", "class", "box", "replay"),
    "predictions": ("frame", "team", "jersey", "class", "score"),
}
UNKNOWN = -1  # jersey of somebody whose number could not be read; it matches nothing
_BARE = 4  # fields of ground truth without flags
_ROUNDING = 1e-6  # scores may be so far outside 0 to 1, and are clipped
# Inclusive ranges of the fields.
_RANGES = {
    "frame": (0, 2**31 - 1),
    "team": (0, 1),
    "jersey": (UNKNOWN, 999),
    "class": (1, N_CLASSES - 1),
    "box": (0, 1),
    "replay": (0, 1),
    "score": (0, 1),
}
_TYPES = {name: {int, float} if name == "score" else {int} for name in _RANGES}
_DTYPES = {"frame": "int64", "team": "int8", "jersey": "int16", "class": "int8", "score": "float64",
           "box": "boolean", "replay": "boolean"}  # fmt: skip
_NO_NUMBERS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Events:
    """The events of one or more halves.

    ``halves`` are all that the file speaks of, in its order; one without events is listed too. ``table`` has one row an
    event, columns ``half, frame, team, jersey, class, score, box, replay``, in the order of the file and with index
    0..n-1. ``frame`` counts from the start of the match's video at 25 frames a second. ``score`` is NaN in ground
    truth; ``box`` and ``replay`` are missing (NA) in predictions. Ground truth with further fields has them, as a list,
    in a column ``extra``. A ``jersey`` of -1 is unknown.
    """

    halves: tuple[str, ...]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    @property
    def games(self) -> tuple[int, ...]:
        """Numbers of the matches, ascending."""
        return games_of(self.halves)

    def select(self, halves: Iterable[str]) -> Events:
        """The events of the named halves; a half that is not here is left out."""
        wanted = set(halves)
        table = self.table[self.table["half"].isin(wanted)].reset_index(drop=True)
        return Events(tuple(half for half in self.halves if half in wanted), table)

    def select_games(self, games: Iterable[int]) -> Events:
        """The events of whole matches."""
        wanted = set(games)
        return self.select(half for half in self.halves if game_of(half) in wanted)

    def with_table(self, table: pd.DataFrame) -> Events:
        """The same halves with another table (what every post-processing step returns)."""
        return Events(self.halves, table.reset_index(drop=True))


def make_events(halves: Sequence[str], columns: dict[str, Sequence]) -> Events:
    """Build an event table from plain columns, all of one length; ``score, box, replay, extra`` may be left out.

    ``halves`` are all that are covered, with or without events.
    """
    n = len(columns["half"])
    absent = {"score": np.full(n, np.nan), **dict.fromkeys(("box", "replay"), _no_answers(n))}
    data = {"half": pd.Series(np.asarray(columns["half"], object), dtype="str")}
    for name in COLUMNS[1:]:
        data[name] = pd.Series(columns[name] if name in columns else absent[name], dtype=_DTYPES[name])
    if "extra" in columns:
        data["extra"] = pd.Series(list(columns["extra"]), dtype="object")
    return Events(tuple(halves), pd.DataFrame(data))


def _no_answers(n: int) -> pd.arrays.BooleanArray:
    """What pandas makes of a list of NA, without a look at each."""
    return pd.arrays.BooleanArray(np.zeros(n, bool), np.ones(n, bool))


def read_events(path: Path | str, kind: Kind) -> Events:
    """Read and check a play-by-play file: ``{"keys": [half, ...], "events": {half: [event, ...]}}``.

    Events are ``[frame, team, jersey, class, box, replay, ...]`` in ground truth (further fields are kept; without any
    after the class both flags are unknown) and ``[frame, team, jersey, class, score, ...]`` in predictions (further
    fields are ignored, as the official tools do). Whole decimals (33.0) are integers. Scores outside 0 to 1 by a
    rounding error are clipped, and a warning counts the events of unknown jersey. One clear FootpassError names the
    file, the half and the event's index (0-based, within the half).
    """
    if kind not in FIELDS:
        raise FootpassError(f"unknown kind of events {kind!r}; expected truth or predictions")
    path = Path(path)
    with _collector_paused():
        return _read_checked(path, kind)


def _read_checked(path: Path, kind: Kind) -> Events:
    keys, events = _read_frame(path)
    parts, fields = [_columns(path, half, events[half], kind) for half in keys], FIELDS[kind]
    columns = {name: np.concatenate([_NO_NUMBERS, *(part[name] for part in parts)]) for name in fields}
    columns["half"] = [half for half in keys for _ in events[half]]
    if kind == "truth":
        extra = [event[len(fields) :] for half in keys for event in events[half]]
        if any(extra):
            columns["extra"] = extra
    unknown = int(np.count_nonzero(columns["jersey"] == UNKNOWN))
    if unknown:
        found = f"the jersey of {unknown} of {len(columns['half'])} events is unknown (-1): these match nothing"
        warnings.warn(f"{path}: {found}", stacklevel=3)
    return make_events(keys, columns)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection, which would walk through the lists of a large file again and again, to find no circle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_events(path: Path | str, events: Events, kind: Kind) -> None:
    """Write a table in the official JSON, atomically, checking it as :func:`read_events` would; errors as there."""
    path = Path(path)
    _check_keys(path, list(events.halves))
    table = events.table
    unlisted = sorted(set(table["half"]) - set(events.halves))
    if unlisted:
        raise FootpassError(f"{path}: the table has events of {unlisted[0]}, which is not among its halves")
    columns = [_plain(table[name], name) for name in FIELDS[kind]]
    rows: dict[str, list[list]] = {half: [] for half in events.halves}
    extra = table["extra"] if kind == "truth" and "extra" in table else [[]] * len(table)
    without_scores = kind == "truth" and table["score"].isna().all()
    for half, more, *event in zip(table["half"], extra, *columns, strict=True):
        bare = without_scores and not more and event[_BARE:] == [None, None]
        rows[half].append(event[:_BARE] if bare else [*event, *more])
    for half in events.halves:
        _check_half(path, half, rows[half], kind)
    write_text(path, json.dumps({"keys": list(events.halves), "events": rows}))


def _plain(column: pd.Series, name: str) -> list:
    """Python numbers of a column, as JSON wants them; a missing value stays visible as None."""
    if name == "score":
        return column.tolist()
    values = [None if value is pd.NA or value != value else value for value in column.astype("object")]
    return [int(value) if value is not None and value == int(value) else value for value in values]


def _read_frame(path: Path) -> tuple[list[str], dict[str, list]]:
    """The keys and events of a file whose outer shape has been checked."""
    content = _load_json(path)
    if not isinstance(content, dict):
        raise FootpassError(f"{path}: expected an object with 'keys' and 'events', found {_name(content)}")
    for name, expected in (("keys", list), ("events", dict)):
        if not isinstance(content.get(name), expected):
            found = _name(content[name]) if name in content else "nothing"
            raise FootpassError(f"{path}: '{name}' must be a {_name(expected())}, found {found}")
    keys, events = content["keys"], content["events"]
    _check_keys(path, keys)
    for half in events:
        if half not in keys:
            raise FootpassError(f"{path}: {repr(half)[:60]} has events but is not named in 'keys'")
    for half in keys:
        if half not in events:
            raise FootpassError(f"{path}: {half} is named in 'keys' but has no list of events (an empty one will do)")
    return keys, events


def _load_json(path: Path) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict:
        result = dict(pairs)
        if len(result) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise FootpassError(f"{path}: the key {repr(twice)[:60]} appears twice")
        return result

    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=unique)
    except FootpassError:
        raise
    except (ValueError, RecursionError) as error:  # JSONDecodeError, an integer of thousands of digits, deep nesting
        raise FootpassError(f"{path}: no valid JSON ({error})") from error


def _check_keys(path: Path, keys: list) -> None:
    seen = set()
    for i, half in enumerate(keys):
        try:
            parse_half(half)
        except FootpassError as error:
            raise FootpassError(f"{path}: keys[{i}]: {error}") from None
        if half in seen:
            raise FootpassError(f"{path}: keys[{i}]: {half} is named twice")
        seen.add(half)


def _columns(path: Path, half: str, events: object, kind: Kind) -> dict[str, np.ndarray]:
    """The fields of a half's events by name; checked all at once, and event by event only where not all are plain."""
    fields = FIELDS[kind]
    if events == []:
        return dict.fromkeys(fields, _NO_NUMBERS)
    listed = isinstance(events, list) and set(map(type, events)) == {list}
    values = dict(zip(fields, zip(*events, strict=False), strict=False)) if listed else {}
    typed = all(set(map(type, column)) <= _TYPES[name] for name, column in values.items())
    columns = {name: np.asarray(column) for name, column in values.items()} if typed else {}
    # NaN is in no range.
    if len(columns) < len(fields) or not all(
        ((column >= _RANGES[name][0]) & (column <= _RANGES[name][1])).all() for name, column in columns.items()
    ):
        _check_half(path, half, events, kind)
        complete = [event if len(event) > _BARE else [*event, pd.NA, pd.NA] for event in events]
        columns = {
            name: _as_meant(name, column) for name, column in zip(fields, zip(*complete, strict=False), strict=False)
        }
    return columns


def _as_meant(name: str, values: Sequence) -> np.ndarray:
    """A field of checked events: whole decimals as integers, scores within 0 to 1."""
    if name == "score":
        return np.clip(np.array(values, float), 0, 1)
    return np.asarray([value if value is pd.NA else int(value) for value in values])


def _check_half(path: Path, half: str, events: object, kind: Kind) -> None:
    if not isinstance(events, list):
        raise FootpassError(f"{path}: {half}: expected a list of events, found {_name(events)}")
    for i, event in enumerate(events):
        problem = _problem(event, kind)
        if problem:
            raise FootpassError(f"{path}: {half}, event {i}: {problem}")


def _problem(event: object, kind: Kind) -> str:
    """What is wrong with one event, or an empty text."""
    fields = FIELDS[kind]
    if not isinstance(event, list):
        return f"expected a list [{', '.join(fields)}], found {_name(event)}"
    if len(event) < len(fields) and not (kind == "truth" and len(event) == _BARE):
        bare = f", or the first {_BARE}" if kind == "truth" else ""
        return f"expected {len(fields)} fields [{', '.join(fields)}]{bare}, found {len(event)}"
    for name, value in zip(fields, event, strict=False):
        if name == "score":
            if type(value) not in (int, float):
                return f"score must be a number, found {_name(value)}"
            if not -_ROUNDING <= value <= 1 + _ROUNDING:  # false for NaN too
                return f"score must be finite and between 0 and 1, found {str(value)[:30]}"
            continue
        low, high = _RANGES[name]
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            return f"{name} must be an integer, found {_name(value)}"
        if not low <= value <= high:
            return f"{name} must be between {low} and {high}, found {str(value)[:30]}"
    return ""


def _name(value: object) -> str:
    """What a JSON reader would call a value, short enough for a message."""
    names = {dict: "object", list: "list", str: "text", bool: "true/false", type(None): "null", float: "a decimal"}
    kind = names.get(type(value), "number")
    return f"{kind} {str(value)[:40]!r}" if isinstance(value, (str, float)) else kind


def count_table(events: Events) -> np.ndarray:
    """Number of events per class, shape (8,), drive to block."""
    return np.bincount(events.table["class"], minlength=N_CLASSES)[1:]
