"""The rows of a tactical table: check them, and choose those that an array over slots and frames has room for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from footpass_lib.data.units import check_units
from footpass_lib.schema import N_CLASSES, N_ROLES, TACTICAL_COLUMNS, FootpassError, parse_half

Columns = dict[str, np.ndarray]
_BLOCK_ROWS = 8192
_WHOSE = ("left_to_right", "role_id", "shirt_number")  # columns that a row of a referee may lack
# Inclusive ranges of the columns that hold whole numbers.
_RANGES = {
    "frame": (0, 2**24 - 1),  # float32 holds no larger whole numbers without gaps
    "player_id": (0, 99_999),
    "left_to_right": (0, 1),
    "shirt_number": (0, 999),
    "role_id": (1, N_ROLES),
    "class": (0, N_CLASSES - 1),
}


def check_rows(
    rows: np.ndarray, half: str, source: Path | str = "rows", drop_unassigned: bool = False
) -> dict[str, np.ndarray]:
    """Check the rows of a half, and return their columns (N,) by name.

    int32 for what is a whole number (frame, ids, class), float32 for positions, speeds and boxes. FootpassError if the
    half's name, the number of columns, a value or the units are wrong, or there is no row; the message names the
    source, the half, the first bad row (0-based) and what was expected. ``drop_unassigned`` leaves out the rows of
    nobody's team, role or shirt (NaN, negative, or role 0): referees, say.
    """
    try:
        parse_half(half)
    except FootpassError as error:
        raise FootpassError(f"{source}: {error}") from None
    n_columns = len(TACTICAL_COLUMNS)
    if rows.ndim != 2 or rows.shape[1] not in (n_columns - 1, n_columns):
        wanted = f"expected {n_columns} columns, or {n_columns - 1} without the class"
        raise FootpassError(f"{source}: {half}: {wanted}, found shape {rows.shape}")
    if not len(rows):
        raise FootpassError(f"{source}: {half}: has no rows")
    columns, number = dict(zip(TACTICAL_COLUMNS, _by_column(rows), strict=False)), None
    if drop_unassigned:
        number = np.flatnonzero(~_unassigned(columns))
        if not len(number):
            raise FootpassError(f"{source}: {half}: none of its {len(rows)} rows has team, role and shirt")
        columns = {name: column[number] for name, column in columns.items()}
    for name, column in columns.items():
        if name in _RANGES:
            low, high = _RANGES[name]
            with np.errstate(invalid="ignore"):  # NaN becomes some integer, and the comparison finds it
                columns[name] = column.astype(np.int32)
            wrong = (columns[name] != column) | (column < low) | (column > high)
            _refuse(wrong, column, f"{name} must be a whole number from {low} to {high}", half, source, number)
        else:
            _refuse(np.isinf(column), column, f"{name} must be finite or NaN", half, source, number)
    for name in ("roi_width", "roi_height"):
        _refuse(columns[name] < 0, columns[name], f"{name} must not be negative", half, source, number)
    check_units(columns, f"{source}: {half}")
    return columns


def _unassigned(columns: Columns) -> np.ndarray:
    """Rows (N,) without a team, a role or a shirt."""
    lowest = {"left_to_right": 0, "role_id": 1, "shirt_number": 0}
    # not "smaller": a NaN is neither; what lies between, like role .5, is a mistake and no referee
    return np.any([~(columns[name] > low - 1) for name, low in lowest.items()], axis=0)


def _by_column(rows: np.ndarray) -> np.ndarray:
    """Rows (N, K) as columns (K, N), each contiguous; copied in blocks that fit the cache, twice as fast as at once."""
    columns = np.empty(rows.shape[::-1], np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        columns[:, start : start + _BLOCK_ROWS] = rows[start : start + _BLOCK_ROWS].T
    return columns


def choose_rows(columns: Columns, cell: np.ndarray, has_box: np.ndarray, n_cells: int) -> np.ndarray:
    """Rows to keep, ascending, one for every cell: of the player with an event, with a box, the last, in this order.

    ``cell`` (N,) numbers the slot and frame of each row. Of two players with an event, these rules choose one, too.
    """
    kept = _last_rows(cell, has_box, n_cells)
    if len(kept) == len(cell) or "class" not in columns:
        return kept
    events, jersey = np.flatnonzero(columns["class"]), columns["shirt_number"]
    acting = events[_last_rows(cell[events], has_box[events], n_cells)]
    actor = np.full(n_cells, -1, np.int32)
    actor[cell[acting]] = jersey[acting]
    own = np.flatnonzero((actor[cell] < 0) | (actor[cell] == jersey))
    return own[_last_rows(cell[own], has_box[own], n_cells)]


def _last_rows(cell: np.ndarray, has_box: np.ndarray, n_cells: int) -> np.ndarray:
    """Ascending: one for every cell, the last one, but one with a box before one without."""
    order, used = np.arange(len(cell), dtype=np.int32), np.zeros(n_cells, bool)
    used[cell] = True
    if np.count_nonzero(used) == len(cell):  # as in most halves
        return order
    row_of = np.full(n_cells, -1, np.int32)
    row_of[cell[~has_box]] = order[~has_box]  # of repeated cells, the last assignment stays
    row_of[cell[has_box]] = order[has_box]
    return order[row_of[cell] == order]


def _refuse(
    wrong: np.ndarray, column: np.ndarray, expectation: str, half: str, source: Path | str, number: np.ndarray | None
) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        nobody = expectation.startswith(_WHOSE) and not column[row] > 0
        hint = " (--drop-unassigned leaves out rows without team, role or shirt: referees, say)" if nobody else ""
        place = row if number is None else number[row]
        raise FootpassError(f"{source}: {half}, row {place}: {expectation}, found {column[row]:g}{hint}")
