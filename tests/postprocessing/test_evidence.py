"""Evidence against hand-made halves and slow references that read the definition aloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import random_events

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.logits import background_logits, write_logits
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.evidence import Evidence, detection_evidence, logit_evidence, read_logit_evidence
from footpass_lib.schema import CLASS_ID, N_CLASSES, N_ROLES, N_SLOTS, ROLE_ID, FootpassError, slot_of
from footpass_lib.spotting.peaks import decode_detections

HALF, FIRST, N_FRAMES = "game_5_H2", 400, 200
PASS = CLASS_ID["pass"]
CF, LW, GK = slot_of(0, ROLE_ID["CF"]), slot_of(0, ROLE_ID["LW"]), slot_of(0, ROLE_ID["GK"])


def half_of(rows: list[tuple[int, int, int, int, bool]]) -> TacticalHalf:
    """A half from rows (frame, team, role, jersey, has a box)."""
    box, none = (900, 500, 40, 80), (np.nan,) * 4
    table = []
    for frame, team, role, jersey, seen in rows:
        table.append((frame, 100, team, jersey, role, 0.5, 0.5, 0, 0, *(box if seen else none), 0))
    return dense_half(np.array(table, np.float32), HALF)


def changing_half() -> TacticalHalf:
    """Jersey 9 is the CF until frame 459 and the LW from 460 on, when 19 becomes the CF; 1 keeps the goal unseen."""
    cf, lw, gk = ROLE_ID["CF"], ROLE_ID["LW"], ROLE_ID["GK"]
    rows = [(f, 0, cf, 9 if f < 460 else 19, True) for f in range(FIRST, FIRST + N_FRAMES)]
    rows += [(f, 0, lw, 9, True) for f in range(460, FIRST + N_FRAMES)]
    rows += [(f, 0, gk, 1, False) for f in range(FIRST, FIRST + N_FRAMES)]
    return half_of(rows)


def events(*rows: tuple[int, int, int, int]) -> Events:
    """Events of the half from (frame, team, jersey, class)."""
    columns = dict(zip(("frame", "team", "jersey", "class"), zip(*rows, strict=True), strict=True))
    return make_events([HALF], {"half": [HALF] * len(rows), **columns, "score": [0.5] * len(rows)})


def peaks(evidence: Evidence, window: int, *rows: tuple[int, int, int, int]) -> list[tuple[float, int]]:
    found = evidence.peaks(events(*rows), window)
    return list(zip(found.value.tolist(), found.frame.tolist(), strict=True))


# logits


def test_evidence_follows_the_player_when_roles_change_hands():
    logits = np.zeros((N_CLASSES, N_SLOTS, N_FRAMES), np.float16)
    logits[PASS, CF, 55] = 3  # 455: jersey 9
    logits[PASS, CF, 62] = 5  # 462: jersey 19 by now
    logits[PASS, LW, 65] = 4  # 465: jersey 9
    evidence = logit_evidence([(changing_half(), logits)], "logit")
    assert peaks(evidence, 6, (458, 0, 9, PASS), (460, 0, 9, PASS), (460, 0, 19, PASS)) == [
        (3, 455),
        (4, 465),
        (5, 462),
    ]
    assert peaks(evidence, 5, (470, 0, 9, PASS), (471, 0, 9, PASS)) == [(4, 465), (0, 471)]
    probability = logit_evidence([(changing_half(), logits)]).peaks(events((465, 0, 9, PASS)), 0)
    assert probability.value[0] == pytest.approx(np.exp(4) / (np.exp(4) + 8)) and probability.frame[0] == 465


def test_no_evidence_without_a_box_or_a_player_or_outside_the_half():
    evidence = logit_evidence([(changing_half(), np.ones((N_CLASSES, N_SLOTS, N_FRAMES), np.float16))], "logit")
    assert evidence.players(HALF).tolist() == [9, 19]
    nobody = [(450, 0, 1, PASS), (450, 0, 77, PASS), (450, 1, 9, PASS), (450, 0, 19, PASS), (300, 0, 9, PASS)]
    value, frame = evidence.peaks(events(*nobody), 9)  # 19 appears 10 frames later
    assert np.isnan(value).all() and (frame == -1).all()
    # a window that sticks out of the half has what lies inside
    assert peaks(evidence, 10, (450, 0, 19, PASS), (392, 0, 9, PASS), (609, 0, 9, PASS)) == [
        (1, 460),
        (1, 400),
        (1, 599),
    ]


def test_of_equal_peaks_the_nearest_then_the_earlier():
    logits = np.zeros((N_CLASSES, N_SLOTS, N_FRAMES), np.float16)
    logits[PASS, CF, [10, 20, 24]] = 2
    evidence = logit_evidence([(changing_half(), logits)], "logit")
    assert peaks(evidence, 20, (415, 0, 9, PASS), (416, 0, 9, PASS), (423, 0, 9, PASS)) == [
        (2, 410),
        (2, 420),
        (2, 424),
    ]


def test_what_the_detector_writes_where_it_saw_nothing_is_no_evidence():
    logits = np.zeros((N_CLASSES, N_SLOTS, N_FRAMES), np.float16)
    logits[:, CF, 30:50] = background_logits(20)[:, CF]
    evidence = logit_evidence([(changing_half(), logits)], "logit")
    assert peaks(evidence, 3, (434, 0, 9, PASS), (451, 0, 9, PASS), (452, 0, 9, PASS))[1:] == [(0, 451), (0, 452)]
    assert np.isnan(evidence.peaks(events((434, 0, 9, PASS)), 3).value[0])
    assert peaks(evidence, 3, (448, 0, 9, PASS)) == [(0, 450)]


def test_short_gaps_between_boxes_of_one_player_are_filled():
    cf, lw = ROLE_ID["CF"], ROLE_ID["LW"]
    shown = {400: 9, 450: 9, 501: 9, 520: 19}  # gaps of 49 and 50 frames, then another player
    half = half_of(
        [(f, 0, cf, jersey, True) for f, jersey in shown.items()] + [(f, 0, lw, 7, True) for f in (400, 599)]
    )
    evidence = logit_evidence([(half, np.ones((N_CLASSES, N_SLOTS, N_FRAMES), np.float16))], "logit")
    present = [f for f in range(400, 600) if not np.isnan(evidence.peaks(events((f, 0, 9, PASS)), 0).value[0])]
    assert present == [*range(400, 451), 501]


def test_a_box_of_his_own_comes_before_a_filled_gap():
    # the CF's gap 421..439 is filled for jersey 9, who is the LW meanwhile
    cf, lw = ROLE_ID["CF"], ROLE_ID["LW"]
    rows = [(f, 0, cf, 9, True) for f in (*range(400, 421), *range(440, 460))]
    half = half_of(rows + [(f, 0, lw, 9, True) for f in range(421, 440)])
    logits = np.zeros((N_CLASSES, N_SLOTS, half.n_frames), np.float16)
    logits[PASS, CF], logits[PASS, LW] = 1, 2
    assert peaks(logit_evidence([(half, logits)], "logit"), 0, (420, 0, 9, PASS), (430, 0, 9, PASS)) == [
        (1, 420),
        (2, 430),
    ]


def random_half(rng: np.random.Generator) -> TacticalHalf:
    """Players whose boxes come and go and who swap slots; no gap is short enough to fill."""
    rows = []
    for team in (0, 1):
        holders = {2: 4, 5: 6, 12: 9, 10: 7}
        for frame in range(FIRST, FIRST + N_FRAMES):
            if frame % 60 == 0:
                holders = dict(zip(holders, rng.permutation(list(holders.values())).tolist(), strict=True))
            rows += [(frame, team, role, jersey, (frame // 60 + role) % 4 > 0) for role, jersey in holders.items()]
    return half_of(rows)


def slow_reading(half: TacticalHalf, logits: np.ndarray, row, window: int) -> tuple[float, int]:
    best = (np.nan, -1)
    for distance in range(window + 1):
        for frame in dict.fromkeys((row.frame - distance, row.frame + distance)):
            for slot in range(row.team * N_ROLES, (row.team + 1) * N_ROLES):
                t = frame - half.first_frame
                if 0 <= t < half.n_frames and half.visible[slot, t] and half.jersey[slot, t] == row.jersey:
                    p = np.exp(logits[:, slot, t].astype(float))
                    value = p[row[4]] / p.sum()
                    best = (value, frame) if not value <= best[0] else best
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("window", [0, 3, 12])
def test_logit_evidence_against_a_slow_reference(seed: int, window: int):
    rng = np.random.default_rng(seed)
    half = random_half(rng)
    logits = rng.integers(-3, 4, (N_CLASSES, N_SLOTS, N_FRAMES)).astype(np.float16)
    asked = events(*[(int(rng.integers(390, 610)), int(rng.integers(2)), int(rng.choice([4, 6, 7, 9, 11])),
                      int(rng.integers(1, 9))) for _ in range(60)])  # fmt: skip
    found = logit_evidence([(half, logits)]).peaks(asked, window)
    rows = asked.table[["half", "frame", "team", "jersey", "class"]].itertuples(index=False)
    expected = [slow_reading(half, logits, row, window) for row in rows]
    np.testing.assert_allclose(found.value, [value for value, _ in expected], rtol=1e-5)
    # float32 may break a tie of equal probabilities in another way than float64
    agree = found.frame == [frame for _, frame in expected]
    assert agree.mean() > 0.9 and np.isnan(found.value).any() and not np.isnan(found.value).all()


def test_a_decoded_event_has_its_own_score_as_evidence():
    rng = np.random.default_rng(0)
    half, logits = random_half(rng), (rng.normal(size=(N_CLASSES, N_SLOTS, N_FRAMES)) * 2).astype(np.float16)
    decoded = decode_detections(logits, half, window=0)
    visible = decoded.table["jersey"].isin([4, 6, 7, 9]).to_numpy()
    value = logit_evidence([(half, logits)]).peaks(decoded, 0).value
    seen = ~np.isnan(value)
    assert visible.all() and 500 < seen.sum() < len(decoded)
    # an unseen slot is decoded too, but its holder is not seen anywhere else in that frame
    np.testing.assert_allclose(value[seen], decoded.table["score"].to_numpy()[seen], rtol=1e-5)
    from_file = detection_evidence(decoded).peaks(decoded, 0)
    np.testing.assert_array_equal(from_file.value, decoded.table["score"])
    np.testing.assert_array_equal(from_file.frame, decoded.table["frame"])


def test_evidence_from_a_file_of_logits(tmp_path: Path):
    half = changing_half()
    logits = np.random.default_rng(0).normal(size=(N_CLASSES, N_SLOTS, N_FRAMES)).astype(np.float16)
    write_logits(tmp_path / "preds_val.h5", [(HALF, FIRST, logits)])
    asked = events((430, 0, 9, PASS), (470, 0, 19, 1), (470, 0, 9, 8))
    read = read_logit_evidence(tmp_path / "preds_val.h5", [half])
    assert read.halves == (HALF,)
    for one, other in zip(read.peaks(asked, 7), logit_evidence([(half, logits)]).peaks(asked, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(FootpassError, match="there is no such file"):
        read_logit_evidence(tmp_path / "none.h5", [half])


def test_logits_that_do_not_fit_are_refused():
    logits = np.zeros((N_CLASSES, N_SLOTS, N_FRAMES), np.float16)
    with pytest.raises(FootpassError, match=r"game_5_H2: expected logits of shape \(9, 26, 200\)"):
        logit_evidence([(changing_half(), logits[..., :-1])])
    with pytest.raises(FootpassError, match="probability or logit, found 'odds'"):
        logit_evidence([(changing_half(), logits)], "odds")
    logits[3, 7, 20] = np.inf
    with pytest.raises(FootpassError, match="game_5_H2: slot 7, frame 420: a logit is NaN or infinite"):
        logit_evidence([(changing_half(), logits)])


# detections


def test_detections_within_the_window_by_hand():
    detections = make_events([HALF], {
        "half": [HALF] * 6, "frame": [130, 100, 110, 105, 105, 105], "team": [0, 0, 0, 1, 0, 0],
        "jersey": [9, 9, 9, 9, 8, 9], "class": [2, 2, 2, 2, 2, 3], "score": [0.9, 0.6, 0.7, 0.95, 0.96, 0.97],
    })  # fmt: skip
    evidence = detection_evidence(detections)
    assert peaks(evidence, 10, (120, 0, 9, 2), (119, 0, 9, 2), (100, 0, 9, 2)) == [(0.9, 130), (0.7, 110), (0.7, 110)]
    assert peaks(evidence, 10**9, (0, 0, 9, 2), (0, 0, 9, 3), (10**9, 0, 9, 2)) == [(0.9, 130), (0.97, 105), (0.9, 130)]
    assert np.isnan(evidence.peaks(events((89, 0, 9, 2), (100, 0, 9, 4), (100, 0, 4, 2)), 10).value).all()


def slow_detections(detections: Events, row, window: int) -> tuple[float, int]:
    mine = [
        (-d.score, abs(d.frame - row.frame), d.frame)
        for d in detections.table.itertuples()
        if (d.half, d.team, d.jersey, d[5]) == (row.half, row.team, row.jersey, row[5])
        and abs(d.frame - row.frame) <= window
    ]
    return (-min(mine)[0], min(mine)[2]) if mine else (np.nan, -1)


@pytest.mark.parametrize("seed", range(4))
def test_detection_evidence_against_a_slow_reference(seed: int):
    rng = np.random.default_rng(seed)
    halves = ("game_1_H1", "game_1_H2")
    detections = random_events(rng, 400, halves, truth=False)
    asked = random_events(rng, 150, halves, truth=False)
    shuffled = detections.with_table(detections.table.sample(frac=1, random_state=seed))
    for window in (0, 5, 40):
        expected = [slow_detections(detections, row, window) for row in asked.table.itertuples()]
        for source in (detections, shuffled):
            value, frame = detection_evidence(source).peaks(asked, window)
            np.testing.assert_array_equal(value, [value for value, _ in expected])
            np.testing.assert_array_equal(frame, [frame for _, frame in expected])


def test_detections_need_scores():
    truth = make_events([HALF], {"half": [HALF], "frame": [3], "team": [0], "jersey": [1], "class": [2]})
    with pytest.raises(FootpassError, match="game_5_H2, row 0: has no score"):
        detection_evidence(truth)


# both


def sources() -> dict[str, Evidence]:
    rng = np.random.default_rng(3)
    half, logits = random_half(rng), rng.normal(size=(N_CLASSES, N_SLOTS, N_FRAMES)).astype(np.float16)
    detections = random_events(rng, 300, (HALF,), truth=False, frames=N_FRAMES)
    return {"logits": logit_evidence([(half, logits)]), "detections": detection_evidence(detections)}


@pytest.mark.parametrize("name", ["logits", "detections"])
def test_team_mates_have_the_peaks_that_they_would_have_themselves(name: str):
    evidence = sources()[name]
    rng = np.random.default_rng(4)
    asked = random_events(rng, 80, (HALF,), truth=False, frames=N_FRAMES)
    asked = asked.with_table(asked.table.assign(frame=asked.table["frame"] + (FIRST if name == "logits" else 0)))
    mates = evidence.team_peaks(asked, 6)
    found = 0
    for i, row in enumerate(asked.table.itertuples()):
        known = [p % 1000 for p in evidence.players(HALF).tolist() if p // 1000 == row.team and p % 1000 != row.jersey]
        assert [j for j in mates.jersey[i].tolist() if j >= 0] == known
        for m, jersey in enumerate(known):
            one = asked.with_table(asked.table.iloc[[i]].assign(jersey=np.int16(jersey)))
            value, frame = evidence.peaks(one, 6)
            np.testing.assert_array_equal(mates.value[i, m], value[0])
            assert mates.frame[i, m] == frame[0]
            found += frame[0] >= 0
        assert np.isnan(mates.value[i, len(known) :]).all()
    assert found > 20


@pytest.mark.parametrize("name", ["logits", "detections"])
def test_the_order_of_events_does_not_matter(name: str):
    evidence = sources()[name]
    asked = random_events(np.random.default_rng(5), 60, (HALF,), truth=False, frames=N_FRAMES + FIRST)
    order = np.random.default_rng(6).permutation(60)
    shuffled = asked.with_table(asked.table.iloc[order])
    for one, other in zip(evidence.peaks(asked, 9), evidence.peaks(shuffled, 9), strict=True):
        np.testing.assert_array_equal(one[order], other)


@pytest.mark.parametrize("name", ["logits", "detections"])
def test_wrong_halves_and_windows_are_refused(name: str):
    evidence = sources()[name]
    strange = make_events(
        ["game_7_H1"], {"half": ["game_7_H1"], "frame": [3], "team": [0], "jersey": [1], "class": [2]}
    )
    for ask in (evidence.peaks, evidence.team_peaks):
        with pytest.raises(FootpassError, match="game_7_H1: there are events but no evidence; .* run on game_5_H2"):
            ask(strange, 5)
        with pytest.raises(FootpassError, match="window=-1"):
            ask(events((430, 0, 9, PASS)), -1)
        nothing = ask(events((430, 0, 9, PASS)).with_table(strange.table.iloc[:0]), 5)
        assert all(len(array) == 0 for array in nothing)
