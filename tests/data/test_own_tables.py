"""Tables that people bring: units, referees, other datasets, compressions, and archives as they unpack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from footpass_lib.__main__ import main
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.half import dense_half
from footpass_lib.data.tactical import TacticalFile, write_tactical
from footpass_lib.schema import COLUMN, FootpassError
from footpass_lib.study.matches import open_data
from footpass_lib.study.place import Study
from footpass_lib.study.profiles import PROFILES

HALF, NAN = "game_3_H1", float("nan")


def rows(n: int = 400) -> np.ndarray:
    """A player who runs across the pitch and the picture, float32 (n, 14)."""
    values = np.zeros((n, 14), np.float32)
    values[:, :5] = 0, 107, 0, 7, 3
    values[:, 0] = np.arange(n)
    values[:, 5:7] = np.stack([np.linspace(-0.03, 1.02, n), np.linspace(0.9, 0.1, n)], axis=1)
    values[:, 9:13] = 0, 500, 40, 90
    values[:, 9] = np.linspace(0, 1890, n)
    return values


def changed(**columns: object) -> np.ndarray:
    table = rows()
    for name, change in columns.items():
        table[:, COLUMN[name]] = change(table[:, COLUMN[name]]) if callable(change) else change
    return table


UNITS = {
    r"x and y are [0-9.]+ in the median and look like metres": changed(
        x=lambda x: 105 * x - 52.5, y=lambda y: 68 * y - 34
    ),
    r"x and y are [0-9.]+ in the median and look like metres .or per cent.": changed(
        x=lambda x: 100 * x, y=lambda y: 100 * y
    ),
    "boxes of 0.0833 at most look like shares of the picture": changed(
        roi_x=lambda x: x / 1920, roi_y=0.4, roi_width=0.02, roi_height=0.0833
    ),
    "boxes that end at x = 3820 look like those of a larger picture": changed(
        roi_x=lambda x: 2 * x, roi_y=900, roi_width=40
    ),
    "boxes look like x0, y0, x1, y1: corners in place of sizes": changed(
        roi_width=rows()[:, COLUMN["roi_x"]] + 40, roi_height=590
    ),
}


@pytest.mark.parametrize("message", UNITS)
def test_other_units_are_refused_with_what_they_look_like(message: str):
    with pytest.raises(FootpassError, match=rf"val\.h5: {HALF}: {message}.*expected"):
        dense_half(UNITS[message], HALF, "val.h5")


def test_official_units_pass_and_what_is_merely_odd_is_told(recwarn: pytest.WarningsRecorder):
    dense_half(rows(), HALF)
    assert not recwarn.list
    table = rows()
    table[7, COLUMN["roi_x"]] = 1990
    with pytest.warns(UserWarning, match=r"rows: game_3_H1: 0.25% of the boxes end right of 1920, the last at 2030"):
        dense_half(table, HALF)
    small = np.tile(rows(), (3, 1))
    small[:, 0] = np.arange(len(small))
    small[:, COLUMN["roi_x"]] *= 0.6
    with pytest.warns(UserWarning, match="all end left of x = 1174 look like those of a smaller picture"):
        dense_half(small, HALF)


def test_rows_of_nobody_are_dropped_when_asked(tmp_path: Path):
    referee, table = rows(3), rows(40)
    referee[:, COLUMN["role_id"]] = NAN, 0, 5
    referee[:, COLUMN["shirt_number"]] = 7, 7, -1
    referee[2, COLUMN["class"]] = table[4, COLUMN["class"]] = 2
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as raw:
        raw[HALF] = np.vstack([referee, table])
    with pytest.raises(FootpassError, match=r"row 2: shirt_number must be .*, found -1 \(--drop-unassigned leaves out"):
        TacticalFile(path).half(HALF)
    with pytest.warns(
        UserWarning, match=r"game_3_H1: 3 of 43 rows dropped: without team, role or shirt; 1 event went with"
    ):
        half = TacticalFile(path, drop_unassigned=True).half(HALF)
    assert (half.unassigned, half.n_rows, half.duplicates, half.n_frames) == (3, 43, 0, 40)
    assert half.lost_events == len(half.events()) == 1
    table[5, COLUMN["role_id"]] = 14  # a mistake, and no referee
    with pytest.raises(FootpassError, match="row 8: role_id must be a whole number from 1 to 13, found 14$"):
        dense_half(np.vstack([referee, table]), HALF, drop_unassigned=True)
    with pytest.raises(FootpassError, match="none of its 3 rows has team, role and shirt"):
        dense_half(referee, HALF, drop_unassigned=True)


def test_a_dataset_beside_the_halves_is_skipped_with_a_line(tmp_path: Path):
    path = tmp_path / "val_tactical_data.h5"
    write_tactical(path, {HALF: rows(40)})
    with h5py.File(path, "a") as raw:
        raw["column_names"] = np.array([b"frame", b"player_id"])
    with pytest.warns(UserWarning, match=r"val_tactical_data\.h5: skipped 'column_names': no name of a half"):
        assert TacticalFile(path).halves == (HALF,)


def test_a_missing_compression_is_called_that(tmp_path: Path):
    path = tmp_path / "val_tactical_data.h5"
    write_tactical(path, {HALF: rows(40)})
    with h5py.File(path) as raw:
        filters = raw[HALF].id.get_create_plist()
        assert [filters.get_filter(i)[3] for i in range(filters.get_nfilters())] == [b"shuffle", b"deflate"]
    content, deflate = path.read_bytes(), bytes([1, 0, 8, 0, 1, 0, 1, 0]) + b"deflate"  # filter 1, by number and name
    assert content.count(deflate) == 1
    path.write_bytes(content.replace(deflate, (32015).to_bytes(2, "little") + deflate[2:]))
    with pytest.raises(
        FootpassError, match=rf"{HALF}: is compressed with Zstandard \(HDF5 filter 32015\), and its plugin"
    ):
        TacticalFile(path).half(HALF)


# the archive as it unpacks


@pytest.mark.parametrize("above", ["", "data"])
def test_what_the_archives_unpack_to_is_found(tmp_path: Path, above: str):
    table = tmp_path / above / "tactical_data_VAL" / "val_tactical_data.h5"
    write_tactical(table, {"game_18_H1": rows(40)})
    for profile in ("full", "embedded"):
        study = Study(PROFILES[profile], tmp_path / "project", None, tmp_path, tmp_path / "reports", 0)
        assert open_data(study).halves("val") == ("game_18_H1",)
    for folder, size in (("videos_fullHD_TRAIN_1", b"large"), ("videos_352x640_VAL", b"small")):
        (tmp_path / above / folder).mkdir(parents=True)
        (tmp_path / above / folder / "game_18.mp4").write_bytes(size)
    (tmp_path / above / "videos_fullHD_TRAIN_1" / "game_2.mp4").write_bytes(b"")
    nested = tmp_path / above / "videos_352x640_TRAIN" / "videos_352x640_TRAIN"
    nested.mkdir(parents=True)
    (nested / "game_5.mp4").write_bytes(b"")
    root = DataRoot(tmp_path)
    assert root.splits == ("val",) and root.table_path("val") == table and root.halves("val") == ("game_18_H1",)
    assert root.video(18).read_bytes() == b"small"
    assert root.video(2).parent.name == "videos_fullHD_TRAIN_1" and root.video(5).parent == nested
    with pytest.raises(FootpassError, match=r"videos/game_7\.mp4: there is no such file; .* in videos, data/videos, "):
        root.video(7)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "game_18.mp4").write_bytes(b"own")
    assert DataRoot(tmp_path).video(18).read_bytes() == b"own"


def test_a_mistyped_data_root_is_an_error_and_nothing_is_made(
    tmp_path: Path, tiny_study: Study, capsys: pytest.CaptureFixture
):
    for name, what in (("tpyo", "there is no such folder"), ("empty", "holds no matches")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        line = ["infer", "--model", "taad", "--profile", "smoke", "--data-root", str(tmp_path / name)]
        assert main(line) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path / name}: {what}; expected data in the official layout")
        assert error.count("\n") == 1
    assert not (tmp_path / "tpyo").exists() and not list((tmp_path / "empty").iterdir())
    with pytest.raises(FootpassError, match="the profile full needs the gated data"):
        open_data(replace(tiny_study, profile=PROFILES["full"], data_root=tmp_path / "empty"))
    assert tiny_study.data_root != tiny_study.own_data
    assert open_data(tiny_study, workers=1).splits == ("train", "val", "test", "challenge")  # synthetic, made elsewhere
