import hashlib
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footpass_lib.data.boxes import fill_box_gaps
from footpass_lib.data.half import dense_half
from footpass_lib.data.tactical import TacticalFile, write_tactical
from footpass_lib.schema import COLUMN, N_SLOTS, TACTICAL_COLUMNS, FootpassError

pytestmark = pytest.mark.filterwarnings("ignore:.*rows dropped")

NAN = float("nan")
NO_BOX = (NAN, NAN, NAN, NAN)
BOX = (100.0, 200.0, 30.0, 60.0)


def row(frame, team=0, role=1, jersey=1, player=101, xy=(0.25, 0.5), v=(1.0, -2.0), box=BOX, label=0):
    return (frame, player, team, jersey, role, *xy, *v, *box, label)


def table(*rows):
    return np.array(rows, np.float32).reshape(-1, len(TACTICAL_COLUMNS))


def random_rows(rng, n_frames=40, first_frame=70, presence=0.7):
    """A half with gaps, missing players and boxes, changing holders, duplicates, events; in no order."""
    rows = []
    for frame in range(first_frame, first_frame + n_frames):
        for slot in rng.permutation(N_SLOTS)[:20]:
            for _ in range(1 + (rng.random() < 0.1)):
                if rng.random() > presence or slot == 5:
                    continue
                jersey = int(rng.integers(1, 30))
                box = tuple(rng.uniform(0, 900, 4)) if rng.random() < 0.6 else NO_BOX
                if rng.random() < 0.05:
                    box = (*box[:3], NAN)
                xy = tuple(rng.uniform(0, 1, 2)) if rng.random() < 0.95 else (NAN, 0.5)
                v = tuple(rng.normal(0, 3, 2)) if rng.random() < 0.95 else (NAN, 1.0)
                label = int(rng.integers(1, 9)) if rng.random() < 0.02 else 0
                rows.append(row(frame, slot // 13, slot % 13 + 1, jersey, 100 + jersey, xy, v, box, label))
    return table(*(rows[i] for i in rng.permutation(len(rows))))


def preferred(rivals):
    """The last row with a box, or else the last row."""
    return ([values for values in rivals if not np.isnan(values[9:13]).any()] or rivals)[-1]


def reference(rows):
    """The rules of a dense half, one row and one frame at a time."""
    first, last = int(rows[:, 0].min()), int(rows[:, 0].max())
    cells, chosen, labels = {}, {}, {}
    for values in rows:
        cells.setdefault((int(values[2]) * 13 + int(values[4]) - 1, int(values[0]) - first), []).append(values)
    for cell, rivals in cells.items():
        if any(values[13] for values in rivals):
            actor = preferred([values for values in rivals if values[13]])[3]
            rivals = [values for values in rivals if values[3] == actor]
            labels[cell] = [int(values[13]) for values in rivals if values[13]][-1]
        chosen[cell] = preferred(rivals)
    shape = (N_SLOTS, last - first + 1)
    dense = {
        "position": np.full((*shape, 2), NAN, np.float32),
        "velocity": np.full((*shape, 2), NAN, np.float32),
        "box": np.full((*shape, 4), NAN, np.float32),
        "observed": np.zeros(shape, bool),
        "visible": np.zeros(shape, bool),
        "jersey": np.full(shape, -1),
        "player_id": np.full(shape, -1),
        "class_id": np.zeros(shape, int),
    }
    for cell, label in labels.items():
        dense["class_id"][cell] = label
    for cell, values in chosen.items():
        if not np.isnan(values[5:7]).any():
            dense["observed"][cell] = True
            dense["position"][cell] = values[5:7]
            dense["velocity"][cell] = [0 if np.isnan(speed) else speed for speed in values[7:9]]
        if not np.isnan(values[9:13]).any():
            dense["visible"][cell] = True
            dense["box"][cell] = values[9:13]
    for name, column in (("jersey", 3), ("player_id", 1)):
        for slot in range(N_SLOTS):
            sightings = [(t, int(chosen[slot, t][column])) for t in range(shape[1]) if (slot, t) in chosen]
            for t in range(shape[1]) if sightings else ():
                before = [value for at, value in sightings if at <= t]
                dense[name][slot, t] = before[-1] if before else sightings[0][1]
    return dense, len(rows) - len(chosen)


# dense arrays


def test_a_small_half_by_hand():
    rows = table(
        row(75_003, team=1, role=12, jersey=9, player=209, xy=(0.75, 0.5), v=(2, 0), box=NO_BOX),
        row(75_000, jersey=1, player=101),
        row(75_003, jersey=30, player=130, label=2),  # another goalkeeper comes on
    )
    half = dense_half(rows, "game_7_H2")
    assert (half.half, half.first_frame, half.n_frames) == ("game_7_H2", 75_000, 4)
    assert half.frames == range(75_000, 75_004)
    assert half.has_classes
    assert half.duplicates == 0
    assert half.position.shape == half.velocity.shape == (26, 4, 2)
    assert half.box.shape == (26, 4, 4)
    for array in (half.position, half.velocity, half.box):
        assert array.dtype == np.float32
    assert half.jersey[0].tolist() == [1, 1, 1, 30]
    assert half.player_id[0].tolist() == [101, 101, 101, 130]
    assert half.jersey[24].tolist() == [9, 9, 9, 9]  # known before it is first seen
    assert (half.jersey[[s for s in range(26) if s not in (0, 24)]] == -1).all()
    assert np.argwhere(half.observed).tolist() == [[0, 0], [0, 3], [24, 3]]
    assert np.argwhere(half.visible).tolist() == [[0, 0], [0, 3]]
    assert half.box[0, 3].tolist() == list(BOX)
    assert half.position[24, 3].tolist() == [0.75, 0.5]
    assert half.velocity[24, 3].tolist() == [2, 0]
    assert np.isnan(half.position[0, 1:3]).all()
    assert np.isnan(half.box[24]).all()
    assert np.argwhere(half.class_id).tolist() == [[0, 3]]
    assert half.class_id[0, 3] == 2


@pytest.mark.parametrize("seed", range(25))
def test_random_halves_equal_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, n_frames=int(rng.integers(1, 40)), first_frame=int(rng.integers(0, 90_000)))
    half = dense_half(rows, "game_0_H1")
    expected, duplicates = reference(rows)
    assert half.duplicates == duplicates
    assert half.first_frame == rows[:, 0].min()
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(half, name), array, err_msg=name)


def test_the_order_of_distinct_rows_does_not_matter():
    rng = np.random.default_rng(3)
    rows = random_rows(rng)
    cells = pd.DataFrame(rows[:, [0, 2, 4]]).drop_duplicates().index
    rows = rows[cells]
    half, shuffled = dense_half(rows, "game_0_H1"), dense_half(rng.permutation(rows), "game_0_H1")
    for name, value in vars(half).items():
        np.testing.assert_array_equal(value, getattr(shuffled, name), err_msg=name)


def test_thirteen_columns_have_no_classes():
    rows = random_rows(np.random.default_rng(0))
    full, challenge = dense_half(rows, "game_0_H1"), dense_half(rows[:, :13], "game_0_H1")
    assert full.has_classes
    assert not challenge.has_classes
    assert not challenge.class_id.any()
    np.testing.assert_array_equal(full.box, challenge.box)
    with pytest.raises(FootpassError, match="game_0_H1: the file has no class column"):
        challenge.events()


def test_of_two_rows_the_last_wins_but_a_box_wins_first():
    a, b = row(5, jersey=1, xy=(0.1, 0.1)), row(5, jersey=2, xy=(0.2, 0.2))
    a_blind, b_blind = (*a[:9], *NO_BOX, 0), (*b[:9], *NO_BOX, 0)
    for rows, winner in (([a, b], 2), ([b, a], 1), ([a, b_blind], 1), ([a_blind, b], 2), ([a_blind, b_blind], 2)):
        half = dense_half(table(*rows), "game_0_H1")
        assert (half.jersey[0, 0], half.duplicates) == (winner, 1)
        assert half.position[0, 0, 0] == pytest.approx(winner / 10)


def test_an_event_survives_in_a_row_of_its_player_that_loses():
    rows = table(row(5, box=NO_BOX, label=7), row(5))
    half = dense_half(rows, "game_0_H1")
    assert half.class_id[0, 0] == 7
    assert half.visible[0, 0]


def test_an_event_belongs_to_the_player_of_its_row():
    rows = [row(frame, role=4, jersey=13) for frame in range(1005, 1016)]
    rows += [
        row(1010, role=4, jersey=99, player=199, xy=(0.75, 0.5), box=NO_BOX, label=2),
        row(1012, role=4, jersey=99, box=NO_BOX),
    ]
    for order in (rows, rows[::-1]):
        half = dense_half(table(*order), "game_1_H1")
        assert half.events().values.tolist() == [[1010, 3, 0, 99, 2, False]]
        at = half.index_of(1010)
        assert (half.jersey[3, at], half.player_id[3, at], half.position[3, at, 0]) == (99, 199, 0.75)
        assert not half.visible[3, at]
        assert set(half.jersey[3, [at - 1, at + 1]]) == {13}
        assert (half.duplicates, half.n_rows, half.lost_events) == (2, 13, 0)
        assert half.dropped().startswith("game_1_H1: 2 of 13 rows dropped: another row has their team, role and frame")


def test_of_two_events_in_one_slot_and_frame_one_is_lost_and_counted():
    rows = [row(5, jersey=1, label=2, box=NO_BOX), row(5, jersey=2, label=7), row(5, jersey=1), row(6, label=3)]
    half = dense_half(table(*rows), "game_1_H1")
    assert half.events().values.tolist() == [[5, 0, 0, 2, 7, True], [6, 0, 0, 1, 3, True]]  # the one with a box stays
    assert half.lost_events == 1
    assert "2 of 4 rows dropped: " in half.dropped() and half.dropped().endswith("; 1 event went with them")
    twice = dense_half(table(row(5, label=2), row(5, label=2)), "game_1_H1")
    assert (twice.duplicates, twice.lost_events) == (1, 0)


def test_a_missing_speed_is_zero_and_half_a_position_is_none():
    rows = table(row(0, v=(NAN, 3)), row(1, xy=(NAN, 0.5)), row(1, role=2, xy=(0.5, 0.5)))
    half = dense_half(rows, "game_0_H1")
    assert half.velocity[0, 0].tolist() == [0, 3]
    assert half.observed[:2].tolist() == [[True, False], [False, True]]
    assert np.isnan(half.position[0, 1]).all()
    assert np.isnan(half.velocity[0, 1]).all()
    assert half.visible[0].all()  # a box needs no position


def test_the_arrays_of_a_half_cannot_be_changed():
    half = dense_half(table(row(0)), "game_0_H1")
    arrays = [name for name, value in vars(half).items() if isinstance(value, np.ndarray)]
    assert len(arrays) == 8
    for name in arrays:
        with pytest.raises(ValueError, match="read-only"):
            getattr(half, name)[0, 0] = 1


def test_jerseys_are_looked_up_by_absolute_frame():
    half = dense_half(table(row(100, jersey=4), row(102, jersey=15), row(103, team=1, role=13, jersey=3)), "game_0_H2")
    assert isinstance(half.index_of(101), int)
    assert half.jersey[0, half.index_of(101)] == 4
    assert half.jersey[[0, 0, 25, 7], half.index_of(np.array([100, 103, 100, 100]))].tolist() == [4, 15, 3, -1]
    assert half.jersey[[[0], [25]], half.index_of(np.array([100, 102]))].tolist() == [[4, 15], [3, 3]]
    for frame in (99, 104, 0):
        with pytest.raises(FootpassError, match=f"game_0_H2: frame {frame} is outside the half; expected 100 to 103"):
            half.index_of(frame)


def test_events_are_listed_by_frame_with_their_actor():
    rows = [row(frame, team=1, role=2, jersey=8, box=BOX if frame in (0, 40) else NO_BOX) for frame in range(100)]
    rows[30] = (*rows[30][:13], 3)  # no box, in a gap of 39 frames
    rows[60] = (*rows[60][:13], 8)  # no box, and none comes later
    rows += [row(40, label=1), row(0, role=3, jersey=5, label=6, box=NO_BOX)]
    events = dense_half(table(*rows), "game_0_H1").events()
    assert list(events.columns) == ["frame", "slot", "team", "jersey", "class", "has_box"]
    assert events.values.tolist() == [
        [0, 2, 0, 5, 6, False],
        [30, 14, 1, 8, 3, True],
        [40, 0, 0, 1, 1, True],
        [60, 14, 1, 8, 8, False],
    ]


def test_a_full_half_starts_late_and_keeps_its_last_frame():
    n_frames, first = 75_000, 75_000
    frames = np.repeat(np.arange(first, first + n_frames), 2)
    rows = np.tile(table(row(0), row(0, team=1, role=13, jersey=77)), (n_frames, 1))
    rows[:, 0] = frames
    rows[-1, COLUMN["class"]] = 4
    half = dense_half(rows, "game_0_H2")
    assert half.n_frames == n_frames
    assert half.observed.sum() == 2 * n_frames
    assert half.events().values.tolist() == [[149_999, 25, 1, 77, 4, True]]


def test_dropped_rows_are_told_once(tmp_path):
    path = tmp_path / "val_tactical_data.h5"
    write_tactical(path, {"game_3_H1": table(row(0), row(0, jersey=2)), "game_3_H2": table(row(0))})
    with pytest.warns(UserWarning) as told:
        TacticalFile(path).half("game_3_H1")
        TacticalFile(path).half("game_3_H2")
    assert [str(each.message).split(" rows dropped:")[0] for each in told] == [f"{path}: game_3_H1: 1 of 2"]


# gaps of boxes


def boxes_of(*values):
    """One slot; each value becomes a box (v, 2v, 10, 20), None a missing one."""
    return np.array([[NO_BOX if v is None else (v, 2 * v, 10, 20) for v in values]], np.float32)


def test_a_gap_is_filled_by_a_straight_line():
    filled = fill_box_gaps(boxes_of(None, 0, None, None, None, 8, None))
    assert filled[0, 1:6, 0].tolist() == [0, 2, 4, 6, 8]
    assert filled[0, 1:6, 1].tolist() == [0, 4, 8, 12, 16]
    assert filled[0, 1:6, 2:].tolist() == [[10, 20]] * 5
    assert np.isnan(filled[0, [0, 6]]).all()


@pytest.mark.parametrize(("missing", "is_filled"), [(1, True), (49, True), (50, False), (200, False)])
def test_a_gap_must_have_fewer_than_fifty_frames(missing, is_filled):
    boxes = boxes_of(3, *[None] * missing, 5)
    filled = fill_box_gaps(boxes)
    assert (~np.isnan(filled)).all() == is_filled
    if not is_filled:
        np.testing.assert_array_equal(filled, boxes)
    assert np.isnan(boxes).any()  # the input is left alone


def test_a_gap_between_two_players_stays_open():
    boxes = boxes_of(1, None, 3, None, 5)
    filled = fill_box_gaps(boxes, holder=np.array([[7, 7, 7, 7, 19]]))
    assert filled[0, :3, 0].tolist() == [1, 2, 3]
    assert np.isnan(filled[0, 3]).all()
    assert fill_box_gaps(boxes)[0, 3, 0] == 4
    passing = fill_box_gaps(boxes, holder=np.array([[7, 19, 7, 7, 7]]))
    assert np.isnan(passing[0, 1]).all()  # another player's moment in the slot
    assert passing[0, 3, 0] == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=4), st.integers(1, 12))
def test_gap_filling_equals_interpolation_slot_by_slot(visible, max_gap):
    visible = np.array(visible)
    boxes = np.random.default_rng(visible.sum()).uniform(0, 100, (*visible.shape, 4))
    boxes[~visible] = NAN
    filled = fill_box_gaps(boxes, max_gap)
    for slot, seen in enumerate(visible):
        known = np.flatnonzero(seen)
        for t in range(30):
            before, after = known[known <= t], known[known >= t]
            inside = len(before) and len(after) and (seen[t] or after[0] - before[-1] - 1 < max_gap)
            expected = [np.interp(t, known, boxes[slot, known, k]) for k in range(4)] if inside else NO_BOX
            np.testing.assert_allclose(filled[slot, t], expected, rtol=1e-9)


# files


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(1)
    rows = {name: random_rows(rng) for name in ("game_10_H1", "game_2_H2", "game_2_H1")}
    write_tactical(tmp_path / "val_tactical_data.h5", rows)
    return tmp_path / "val_tactical_data.h5", rows


def test_a_file_gives_its_halves_back(file):
    path, rows = file
    with TacticalFile(path) as tactical:
        assert tactical.halves == ("game_2_H1", "game_2_H2", "game_10_H1")
        for half, written in rows.items():
            np.testing.assert_array_equal(tactical.rows(half), written)
            expected, _ = reference(written)
            for name, array in expected.items():
                np.testing.assert_array_equal(getattr(tactical.half(half), name), array, err_msg=name)
    with h5py.File(path) as raw:
        assert raw["game_2_H1"].dtype == np.float32
        assert raw["game_2_H1"].compression == "gzip"


def test_only_the_latest_halves_are_kept(file):
    path, _ = file
    tactical = TacticalFile(path, cached_halves=2)
    first, second = tactical.half("game_2_H1"), tactical.half("game_2_H2")
    assert tactical.half("game_2_H1") is first  # used again, so the other one is the oldest
    tactical.half("game_10_H1")
    assert tactical.half("game_2_H1") is first
    assert tactical.half("game_2_H2") is not second
    tactical.close()
    assert tactical.half("game_2_H2") is not second


def test_a_pickled_file_is_light_and_works(file):
    path, rows = file
    tactical = TacticalFile(path)
    tactical.half("game_2_H1")
    content = pickle.dumps(tactical)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).rows("game_2_H1"), rows["game_2_H1"])


def test_equal_rows_give_equal_bytes(tmp_path, file):
    path, rows = file
    write_tactical(tmp_path / "again.h5", iter(rows.items()))
    hashes = {hashlib.sha256(entry.read_bytes()).hexdigest() for entry in (path, tmp_path / "again.h5")}
    assert len(hashes) == 1


def test_a_refused_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "train_tactical_data.h5"
    write_tactical(path, {"game_1_H1": table(row(0))})
    before = path.read_bytes()
    good, bad = table(row(0)), table(row(0), row(1, role=14))
    with pytest.raises(FootpassError, match=r"train_tactical_data\.h5: game_1_H2, row 1: role_id"):
        write_tactical(path, {"game_1_H1": good, "game_1_H2": bad})
    with pytest.raises(FootpassError, match="game_1_H1 comes twice"):
        write_tactical(path, [("game_1_H1", good), ("game_1_H1", good)])
    with pytest.raises(FootpassError, match="there is no half to write"):
        write_tactical(path, {})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


# what cannot be read


def with_value(name, value, index=2):
    rows = table(*(row(frame) for frame in range(5)))
    rows[index, COLUMN[name]] = value
    return rows


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("frame", 1.5, "frame must be a whole number from 0 to .*, found 1.5"),
        ("frame", -1, "frame must be a whole number from 0"),
        ("frame", NAN, "frame must be a whole number .* found nan"),
        ("frame", 1e30, "frame must be a whole number"),
        ("player_id", NAN, "player_id must be a whole number"),
        ("left_to_right", 2, "left_to_right must be a whole number from 0 to 1, found 2"),
        ("left_to_right", -1, "left_to_right must be a whole number from 0 to 1"),
        ("left_to_right", NAN, "left_to_right must be a whole number from 0 to 1, found nan"),
        ("shirt_number", 7.25, "shirt_number must be a whole number"),
        ("shirt_number", 1000, "shirt_number must be a whole number from 0 to 999"),
        ("shirt_number", float("inf"), "shirt_number must be a whole number"),
        ("role_id", 0, "role_id must be a whole number from 1 to 13, found 0"),
        ("role_id", 14, "role_id must be a whole number from 1 to 13, found 14"),
        ("role_id", NAN, "role_id must be a whole number from 1 to 13, found nan"),
        ("class", 9, "class must be a whole number from 0 to 8, found 9"),
        ("class", -1, "class must be a whole number from 0 to 8"),
        ("class", NAN, "class must be a whole number from 0 to 8"),
        ("x", float("inf"), "x must be finite or NaN, found inf"),
        ("speed_y", -float("inf"), "speed_y must be finite or NaN"),
        ("roi_x", float("inf"), "roi_x must be finite or NaN"),
        ("roi_width", -3, "roi_width must not be negative, found -3"),
        ("roi_height", -0.5, "roi_height must not be negative, found -0.5"),
    ],
)
def test_a_bad_value_is_named_with_its_row(tmp_path, name, value, expected):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as raw:
        raw["game_3_H1"] = with_value(name, value)
    with pytest.raises(FootpassError, match=rf"val_tactical_data\.h5: game_3_H1, row 2: {expected}"):
        TacticalFile(path).half("game_3_H1")


@pytest.mark.parametrize("shape", [(5, 12), (5, 15), (5,), (0, 14), (2, 5, 14)])
def test_a_wrong_shape_is_named(tmp_path, shape):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as raw:
        raw["game_3_H1"] = np.zeros(shape, np.float32)
    expected = "has no rows" if shape == (0, 14) else "expected 14 columns, or 13 without the class, found shape"
    with pytest.raises(FootpassError, match=rf"val_tactical_data\.h5: game_3_H1: {expected}"):
        TacticalFile(path).half("game_3_H1")


def test_frames_too_far_apart_do_not_ask_for_all_memory():
    with pytest.raises(FootpassError, match="game_3_H1: frames 0 to 16000000; expected at most 262144 of them"):
        dense_half(table(row(0), row(16_000_000)), "game_3_H1")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FootpassError, match=r"nowhere\.h5: there is no such file"):
        _ = TacticalFile(tmp_path / "nowhere.h5").halves


@pytest.mark.parametrize("content", [b"", b"frame,player_id\n1,101\n" * 50])
def test_what_is_no_hdf5_is_named(tmp_path, content):
    path = tmp_path / "rows.h5"
    path.write_bytes(content)
    with pytest.raises(FootpassError, match=r"rows\.h5: no HDF5 file, or damaged"):
        TacticalFile(path).half("game_3_H1")


def test_a_file_cut_short_is_named(file):
    path, _ = file
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FootpassError, match=r"val_tactical_data\.h5: cut short"):
        TacticalFile(path).half("game_2_H1")


def test_damaged_rows_are_named(file):
    path, _ = file
    with h5py.File(path) as raw:
        chunk = raw["game_2_H2"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    tactical = TacticalFile(path)
    assert tactical.half("game_2_H1").n_frames == 40
    with pytest.raises(FootpassError, match=r"val_tactical_data\.h5: game_2_H2: cannot be read, the file is damaged"):
        tactical.half("game_2_H2")


def test_a_half_that_is_not_there_is_answered_with_near_names(file):
    path, _ = file
    with pytest.raises(FootpassError, match=r"has no half 'game_2_H3'; near names: .*game_2_H[12]"):
        TacticalFile(path).half("game_2_H3")
    with pytest.raises(FootpassError, match="has no half 'zzz'; near names: game_2_H1, game_2_H2, game_10_H1"):
        TacticalFile(path).half("zzz")


def test_names_that_are_no_halves_are_refused(tmp_path):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as raw:
        raw["game_3"] = table(row(0))
    with pytest.raises(FootpassError, match=r"val_tactical_data\.h5: holds no half; .*, found 'game_3'"):
        _ = TacticalFile(path).halves
    with pytest.raises(FootpassError, match="'game_03_H1' is no name of a half"):
        write_tactical(path, {"game_03_H1": table(row(0))})


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as raw:
        raw.create_group("game_3_H1")
        raw["game_3_H2"] = np.array([b"text"])
    for half in ("game_3_H1", "game_3_H2"):
        with pytest.raises(FootpassError, match=rf"{half}: expected a dataset of float32"):
            TacticalFile(path).half(half)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(FootpassError, match=r"val_tactical_data\.h5: holds no half"):
        _ = TacticalFile(path).halves
