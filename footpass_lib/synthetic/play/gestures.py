"""What bodies do with themselves: the move around each event, moves without an event, and where everybody faces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from footpass_lib.schema import FPS
from footpass_lib.synthetic.play.ball import BallPath
from footpass_lib.synthetic.play.casting import KEEPERS
from footpass_lib.synthetic.play.formation import N_BODIES, TEAM_OF_BODY
from footpass_lib.synthetic.play.played import MOVE_ID
from footpass_lib.synthetic.play.rules import CENTRE, Act

HALF_WIDTH = 12  # frames of a move before and after its anchor


def choreograph(
    events: pd.DataFrame, path: BallPath, position: np.ndarray, per_minute: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Moves (T, 22) uint8, an index into ``MOVES``, and phases (T, 22) float32, seconds since the move's anchor.

    Of the events (``frame``, ``body``, ``class``), of what belongs to a scene (duels in the air, goalkeepers' catches),
    and of ``per_minute`` look-alikes that happen anywhere.
    """
    acts = list(events[["frame", "body", "class"]].astype(int).itertuples(index=False, name=None))
    move = np.zeros((len(position), N_BODIES), np.uint8)
    offset = np.full(move.shape, HALF_WIDTH + 1)
    for frame, body, label in acts:
        _paint(move, offset, frame, body, label)
    for frame, body, name in _scenes(acts, path, position, rng) + _strays(acts, path, position, per_minute, rng):
        span = slice(max(frame - HALF_WIDTH, 0), frame + HALF_WIDTH + 1)
        if not move[span, body].any():  # an event or an earlier move has the body
            _paint(move, offset, frame, body, MOVE_ID[name])
    return move, np.where(move > 0, offset / FPS, 0).astype(np.float32)


def _paint(move: np.ndarray, offset: np.ndarray, frame: int, body: int, label: int) -> None:
    """Give the body to a move where no other anchor is nearer."""
    first, last = max(frame - HALF_WIDTH, 0), min(frame + HALF_WIDTH + 1, len(move))
    here = np.arange(first, last) - frame
    nearer = np.abs(here) < np.abs(offset[first:last, body])
    move[first:last, body][nearer] = label
    offset[first:last, body][nearer] = here[nearer]


def _scenes(
    acts: list[tuple[int, int, int]], path: BallPath, position: np.ndarray, rng: np.random.Generator
) -> list[tuple[int, int, str]]:
    """Moves that belong to an event: (frame, body, name)."""
    scenes = [(frame, body, "catch") for frame, body in path.catches]
    for frame, body, label in acts:
        away = np.linalg.norm(position[frame] - position[frame, body], axis=1)
        away[body] = np.inf
        rivals = np.where(TEAM_OF_BODY[body] == TEAM_OF_BODY, np.inf, away)
        near = int(rivals.argmin())
        if label == Act.HEADER and rivals[near] < 3:
            scenes.append((frame + int(rng.integers(-3, 4)), near, "jump"))
        if label == Act.DRIVE and rivals[near] < 3 and rng.random() < 0.15:
            scenes.append((frame + int(rng.integers(3, 12)), near, str(rng.choice(["slide", "stretch"]))))
        if label in (Act.PASS, Act.CROSS) and rivals[near] < 5 and rng.random() < 0.2:
            scenes.append((frame + int(rng.integers(2, 8)), near, "stretch"))
        keeper = KEEPERS[1 - TEAM_OF_BODY[body]]
        if label == Act.SHOT and rng.random() < 0.6:
            scenes.append((frame + int(rng.integers(8, 18)), keeper, "jump"))
        if label == Act.CROSS and rng.random() < 0.3:
            scenes.append((frame + int(rng.integers(15, 30)), keeper, "jump"))
        if label in (Act.SHOT, Act.CROSS) and rng.random() < 0.5:
            mates = np.where(TEAM_OF_BODY[body] == TEAM_OF_BODY, away, np.inf)
            scenes.append((frame + int(rng.integers(10, 50)), int(mates.argmin()), "wave"))
    return [scene for scene in scenes if 0 <= scene[0] < len(position)]


def _strays(
    acts: list[tuple[int, int, int]], path: BallPath, position: np.ndarray, per_minute: float, rng: np.random.Generator
) -> list[tuple[int, int, str]]:
    """Moves anywhere: most of them by players near the ball, who are also those that a camera sees."""
    n_frames = len(position)
    strays = []
    for frame in rng.integers(0, n_frames, rng.poisson(per_minute * n_frames / FPS / 60)):
        away = np.linalg.norm(position[frame] - path.ball[frame, :2], axis=1)
        weight = np.exp(-away / 12)
        body = int(rng.choice(N_BODIES, p=weight / weight.sum()))
        name = str(rng.choice(["feint", "jump", "slide", "wave", "stretch"], p=[0.34, 0.2, 0.1, 0.2, 0.16]))
        strays.append((int(frame), body, name))
    # A dribbler may step over the ball.
    for (frame, body, label), (after, _, _) in pairwise(acts):
        if label == Act.DRIVE and after - frame > 2 * HALF_WIDTH + 12 and rng.random() < 0.35:
            strays.append((int(rng.integers(frame + HALF_WIDTH, after - HALF_WIDTH)), body, "feint"))
    return strays


def face(position: np.ndarray, velocity: np.ndarray, ball: np.ndarray, events: pd.DataFrame) -> np.ndarray:
    """Heading (T, B) in radians: along the run when fast, towards the ball when slow, along the strike at a strike."""
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    to_ball = ball[:, None, :2] - position
    to_ball /= np.maximum(np.linalg.norm(to_ball, axis=-1, keepdims=True), 0.3)
    run = np.clip((speed - 0.8) / 2.5, 0, 1)
    look = run * velocity / np.maximum(speed, 0.1) + (1 - run) * to_ball
    for frame, body in zip(events["frame"], events["body"], strict=True):
        later = min(frame + 6, len(ball) - 1)
        strike = ball[later, :2] - ball[frame, :2]
        size = np.linalg.norm(strike)
        if size > 0.8:
            look[max(frame - 7, 0) : frame + 6, body] = strike / size * 2.5
    look = gaussian_filter1d(look, 3.0, axis=0, mode="nearest")
    return np.arctan2(look[..., 1], look[..., 0]).astype(np.float32)


def referee_run(ball: np.ndarray) -> np.ndarray:
    """Referee (T, 2): follows play from the side, some ten metres off the ball, unhurried."""
    slow = gaussian_filter1d(ball[:, :2], 2.2 * FPS, axis=0, mode="nearest")
    spot = CENTRE + 0.82 * (slow - CENTRE) + np.array([0.0, 8.0])
    spot[:, 0] -= 9 * np.tanh((slow[:, 0] - CENTRE[0]) / 20)
    return gaussian_filter1d(spot, 1.0 * FPS, axis=0, mode="nearest").astype(np.float32)
