"""The embedded matches against the real game: who has a box, what follows what, and where the unseen are said to be."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from footpass_lib.events import statistics
from footpass_lib.events.playbyplay import FIELDS, Events, make_events
from footpass_lib.schema import FPS, N_ROLES
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic import tracking
from footpass_lib.synthetic.picture.bodies import assemble_cast, draw_looks
from footpass_lib.synthetic.picture.camera import direct
from footpass_lib.synthetic.picture.style import draw_style
from footpass_lib.synthetic.play import transitions
from footpass_lib.synthetic.play.match import new_match, plan_half
from footpass_lib.synthetic.play.played import Play
from footpass_lib.synthetic.production import plan, simulate

SIZES = PROFILES["embedded"].synthetic
# Of the real actors of each class, drive to block: share with a box.
REAL_BOXES = dict(zip(statistics.EVENT_CLASSES, (0.858, 0.814, 0.705, 0.436, 0.810, 0.666, 0.611, 0.783), strict=True))


class Half(NamedTuple):
    """What the tests need of a tracked half; positions (T, P, 2) in metres."""

    play: Play
    seen: np.ndarray  # (T, P)
    position: np.ndarray
    velocity: np.ndarray
    events: np.ndarray  # (N, 6) as truth_events


def film(seed: int, split: str, minutes: float) -> list[Half]:
    """Halves of a split as ``make_match`` makes them, but not drawn."""
    halves = []
    for job in plan("unused", replace(SIZES, **{split: minutes}), seed):
        if job.split != split:
            continue
        rngs = job.generators()
        plays = simulate(job, rngs)
        style, looks = draw_style(rngs[1], split == "challenge", SIZES.body_height), draw_looks(rngs[1])
        for play, rng in zip(plays, rngs[2:], strict=True):
            broadcast, cast = direct(play, style, rng), assemble_cast(play, style, looks, rng)
            tracks = tracking.track(play, cast, broadcast, job.settings()[1], rng)
            seen = np.isfinite(tracks.box[..., 0])
            events = tracking.truth_events(play, tracks, broadcast)
            halves.append(Half(play, seen, tracks.position, tracks.velocity, events))
    return halves


def as_events(halves: list[Half]) -> Events:
    tables = [pd.DataFrame(h.events, columns=FIELDS["truth"]).assign(half=h.play.half) for h in halves]
    return make_events([h.play.half for h in halves], pd.concat(tables).to_dict("list"))


@pytest.fixture(scope="module")
def filmed() -> list[list[Half]]:
    """Twelve minutes of the test split for each of four seeds."""
    return [film(seed, "test", 12) for seed in (1, 2, 3, 4)]


@pytest.mark.slow
def test_as_many_actors_have_a_box_as_in_real_matches(filmed):
    tables = [statistics.class_table(as_events(halves)) for halves in filmed]
    events, with_box = (sum(table[column] for table in tables) for column in ("events", "with box"))
    assert with_box.sum() / events.sum() == pytest.approx(0.81, abs=0.02)
    for name, real in REAL_BOXES.items():
        # .04, and two standard errors of a share of so few events
        band = 0.04 + 2 * (real * (1 - real) / events[name]) ** 0.5
        assert with_box[name] / events[name] == pytest.approx(real, abs=band), (name, events[name])


@pytest.mark.slow
def test_the_challenge_is_seen_less(filmed):
    boxes = np.concatenate([half.events for half in film(1, "challenge", 12)])[:, 4]
    assert 0.65 < boxes.mean() < np.concatenate([half.events for halves in filmed for half in halves])[:, 4].mean()


def test_events_follow_each_other_nearly_as_in_real_matches():
    job = plan("unused", SIZES, 0)[0]
    settings, _ = job.settings()
    columns = {"half": [], "frame": [], "team": [], "jersey": [], "class": []}
    for game in range(12):
        rng = np.random.default_rng([9, game])
        events = plan_half(new_match(game, rng), 1, 20_000, rng, settings).events()
        columns["half"] += [f"game_{game}_H1"] * len(events)
        columns["frame"] += events["frame"].tolist()
        columns["team"] += (events["body"] // 11).tolist()
        columns["jersey"] += (events["body"] % 11 + 1).tolist()
        columns["class"] += events["class"].tolist()
    made = make_events([f"game_{game}_H1" for game in range(12)], columns)
    found = statistics.grammar(statistics.transitions(made))
    real = statistics.grammar(real_moves())
    assert real.round(3).tolist() == [0.008, 0.363, 0.869, 1.579]
    # what the tilt toward rare classes costs: at a rarity of .85 these are .44, .67, .37 and 2.4 bits
    assert found["drives tackled"] < real["drives tackled"] + 0.04
    assert found["shots blocked"] < real["shots blocked"] + 0.2
    assert found["passed on"] > real["passed on"] - 0.13
    assert found["entropy"] < real["entropy"] + 0.5


def real_moves() -> pd.DataFrame:
    """The committed table of transitions in the form of ``statistics.transitions``."""
    table = transitions.load_transitions()
    counts = np.zeros((8, 3, 8))
    np.add.at(counts, (table.source - 1, table.relation, table.target - 1), table.count)
    columns = pd.MultiIndex.from_product([statistics.RELATIONS, statistics.EVENT_CLASSES])
    return pd.DataFrame(counts.reshape(8, 24), index=list(statistics.EVENT_CLASSES), columns=columns)


def drift_home(play: Play, seen: np.ndarray) -> np.ndarray:
    """What a poor tracker would say: the last known place, which drifts in six seconds to the player's average one."""
    truth, frame = np.nan_to_num(play.position.astype(float)), np.arange(play.n_frames)[:, None]
    home = np.nanmean(play.position, axis=0)
    last = np.maximum.accumulate(np.where(seen, frame, -1), axis=0)
    away = np.where(last < 0, 1e6, (frame - last) / FPS)[..., None]
    return home + (np.take_along_axis(truth, np.maximum(last, 0)[..., None], axis=0) - home) * np.exp(-away / 6)


@pytest.mark.slow
def test_the_unseen_are_placed_within_metres(filmed):
    half = filmed[0][0]
    unseen = (half.play.slot >= 0) & ~half.seen
    assert 0.3 < unseen.mean() < 0.7
    error, poor = (
        np.linalg.norm(position - half.play.position, axis=-1)[unseen]
        for position in (half.position, drift_home(half.play, half.seen))
    )
    assert 0.8 < np.median(error) < 2 and np.quantile(error, 0.95) < 6
    assert np.median(error) < np.median(poor) / 3
    assert np.median(np.linalg.norm(half.velocity - half.play.velocity, axis=-1)[unseen]) < 1.2
    steps = np.linalg.norm(np.diff(half.position, axis=0), axis=-1)
    assert np.nanmax(steps) < 12 / FPS  # nobody jumps, seen or not
    assert half.seen[half.play.slot < 0].sum() == 0 and np.isnan(half.position[half.play.slot < 0]).all()


def still_play(n_frames: int = 3000, n_players: int = 120) -> Play:
    """Players who stand still in one place; only what ``estimate_motion`` reads."""
    position = np.full((n_frames, n_players, 2), 30, np.float32)
    fields = dict.fromkeys(Play.__dataclass_fields__)
    slot = np.full((n_frames, n_players), N_ROLES, np.int8)
    return Play(**(fields | {"position": position, "slot": slot}))


def test_the_error_grows_to_two_metres_and_is_gone_when_the_player_is_back():
    play = still_play()
    seen = np.ones(play.slot.shape, bool)
    seen[500:2500] = False
    position, velocity = tracking.estimate_motion(play, seen, np.random.default_rng(0))
    error = (position - 30).std(axis=(1, 2))  # of each axis
    assert error[[200, 2700]].max() < 0.3
    assert 0.3 < error[500 + FPS] < error[500 + 3 * FPS] < error[500 + 8 * FPS]
    assert_allclose(error[1000:2400], 2, atol=0.5)
    assert error[2499] < 0.4 and np.linalg.norm(np.diff(position, axis=0), axis=-1).max() < 0.5
    assert_allclose(velocity[1:-1], (position[2:] - position[:-2]) * FPS / 2, atol=2e-3)
    again, _ = tracking.estimate_motion(play, seen, np.random.default_rng(0))
    assert_array_equal(position, again)


def test_a_substitute_is_near_where_he_comes_on():
    play = still_play(1000, 3)
    slot, position = play.slot.copy(), play.position.copy()
    slot[:400, 0], slot[600:, 1] = -1, -1
    position[slot < 0] = np.nan
    seen = np.ones(slot.shape, bool)
    seen[300:700] = False
    found, _ = tracking.estimate_motion(replace(play, position=position, slot=slot), seen, np.random.default_rng(1))
    assert_array_equal(np.isnan(found[..., 0]), slot < 0)
    assert np.nanmax(np.abs(found - 30)) < 8
