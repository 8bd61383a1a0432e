"""Bodies in motion: 22 players run towards their anchors, press, mark, keep apart, and are where they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from scipy.ndimage import gaussian_filter1d

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.formation import N_BODIES, TEAM_OF_BODY
from footpass_lib.synthetic.play.rules import unit

MAX_SPEED = 9.3  # m/s
MAX_ACCELERATION = 6.5  # m/s^2
_NEVER = 10**7
_STEP = 1 / FPS
_GOALS = np.where(TEAM_OF_BODY == 0, 0.0, PITCH[0])  # x of the goal that each body defends


@dataclass(frozen=True)
class Key:
    """A body must be at a place (2,) at a frame; ``start`` is the frame from which it heads there, if that is fixed."""

    body: int
    frame: int
    place: np.ndarray
    start: int | None = None


def wander(n_frames: int, size: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Slow random drift (T, 22, 2) of about ``size`` (22, 2) metres and ``seconds`` of memory."""
    coarse = max(2, int(n_frames / FPS) + 2)  # one draw a second, then smoothed
    noise = gaussian_filter1d(rng.normal(size=(coarse, N_BODIES, 2)), seconds, axis=0, mode="reflect")
    noise /= np.maximum(noise.std(), 1e-9)
    at = np.arange(n_frames) / FPS
    left = at.astype(int)
    part = (at - left)[:, None, None]
    return ((1 - part) * noise[left] + part * noise[left + 1]) * size


def run_bodies(
    start: np.ndarray, anchors: np.ndarray, ball: np.ndarray, attack: np.ndarray, live: np.ndarray, keys: list[Key]
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate the motion of all bodies: positions in metres and velocities in m/s, both (T, 22, 2).

    Bodies begin at ``start`` (22, 2), stand at ``anchors`` (T, 22, 2) where they have no job, and are at their ``keys``
    in time. The ball is going to be at ``ball`` (T, 2), roughly; ``attack`` (T,) is 1 where team 0 has it and 0 where
    team 1 has it; only where it is ``live`` (T,) do the defenders press and mark. Speed stays below ``MAX_SPEED``,
    acceleration below ``MAX_ACCELERATION``, and ``position[t + 1] - position[t] = velocity[t + 1] / 25``.
    """
    n_frames = len(anchors)
    schedule = _Schedule(keys, n_frames)
    position, velocity = np.empty_like(anchors), np.zeros_like(anchors)
    place, speed = start.copy(), np.zeros((N_BODIES, 2))
    targets = anchors[0]
    for t in range(n_frames):
        position[t], velocity[t] = place, speed
        if t % 4 == 0:
            targets = _defend(anchors[t], place, ball[t], attack[t]) if live[t] else anchors[t]
        push = _towards_anchor(targets, place, speed) + _keep_apart(place)
        goal_push, due = schedule.push(t, place, speed)
        push = np.where(due[:, None], goal_push, push)
        speed = _at_most(speed + _at_most(push, MAX_ACCELERATION) * _STEP, MAX_SPEED)
        place = place + speed * _STEP
    return position, velocity


def _at_most(vectors: np.ndarray, longest: float) -> np.ndarray:
    """Vectors (22, 2), shortened where they are longer than that."""
    length = np.sqrt((vectors**2).sum(1, keepdims=True))
    return vectors * np.minimum(1, longest / np.maximum(length, 1e-9))


def _towards_anchor(targets: np.ndarray, place: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Acceleration (22, 2) of bodies without a job: walk when near, run when far."""
    gap = targets - place
    distance = np.sqrt((gap**2).sum(1, keepdims=True))
    pace = np.clip(distance / 1.4, 0, np.clip(1.8 + 0.3 * distance, 0, 6.5))
    wanted = gap / np.maximum(distance, 0.05) * pace * (distance > 0.05)
    return np.clip((wanted - speed) / 0.45, -4.5, 4.5)


def _keep_apart(place: np.ndarray) -> np.ndarray:
    """Acceleration (22, 2) away from bodies closer than about a metre."""
    gap = place[:, None] - place[None]
    distance = np.sqrt((gap**2).sum(2)) + np.eye(N_BODIES) * 99
    strength = np.clip(1.3 - distance, 0, None) * 9 / np.maximum(distance, 0.1)
    return (gap * strength[..., None]).sum(1)


def _defend(anchors: np.ndarray, place: np.ndarray, ball: np.ndarray, attack: float) -> np.ndarray:
    """Targets (22, 2): the side without the ball presses it with one player, covers with another, and marks."""
    targets = anchors.copy()
    team = 1 if attack > 0.5 else 0
    mine = np.arange(1, 11) + 11 * team
    theirs = np.arange(1, 11) + 11 * (1 - team)
    own_goal = np.array([_GOALS[mine[0]], PITCH[1] / 2])
    gap = np.sqrt(((place[mine][:, None] - place[theirs][None]) ** 2).sum(2))  # (10, 10)
    nearest = gap.argmin(1)
    distance = gap[np.arange(10), nearest]
    opponent = place[theirs][nearest]
    goal_side = opponent + 1.4 * unit(own_goal - opponent)
    depth = np.abs(opponent[:, 0] - own_goal[0])
    weight = np.clip((9 - distance) / 9, 0, 1) * np.clip((75 - depth) / 50, 0.1, 0.75)
    targets[mine] += weight[:, None] * (goal_side - targets[mine])
    order = np.argsort(((place[mine] - ball) ** 2).sum(1), kind="stable")
    to_goal = unit(own_goal - ball)
    targets[mine[order[0]]] = ball + 1.8 * to_goal
    targets[mine[order[1]]] = 0.5 * targets[mine[order[1]]] + 0.5 * (ball + 6.5 * to_goal)
    return targets


class _Schedule:
    """The next key of every body at every frame."""

    def __init__(self, keys: list[Key], n_frames: int) -> None:
        self.frame = np.full((n_frames, N_BODIES), _NEVER)
        self.start = np.full((n_frames, N_BODIES), _NEVER)
        self.place = np.zeros((n_frames, N_BODIES, 2))
        self.end = np.full((n_frames, N_BODIES, 2), np.nan)  # velocity at a key that another one follows soon
        for body in range(N_BODIES):
            self._load(body, sorted((key for key in keys if key.body == body), key=lambda key: key.frame))

    def _load(self, body: int, keys: list[Key]) -> None:
        before = 0
        for key, after in zip_longest(keys, keys[1:]):
            span = slice(before, key.frame), body
            self.frame[span], self.place[span], before = key.frame, key.place, key.frame
            if key.start is not None:
                self.start[span] = key.start
            if after is not None and after.frame - key.frame <= 1.8 * FPS:
                onward = (after.place - key.place) / ((after.frame - key.frame) * _STEP)
                self.end[span] = onward * min(1, 3.0 / max(np.hypot(*onward), 1e-6))

    def push(self, t: int, place: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Acceleration (22, 2) towards the next keys, and which bodies (22,) have to set out for theirs by now.

        The push is the least-effort one that reaches a place at a time with a given speed at the end:
        ``a = 6 d / T^2 - (4 v + 2 v_end) / T``.
        """
        gap = self.place[t] - place
        left = np.maximum((self.frame[t] - t) * _STEP, 2 * _STEP)
        distance = np.sqrt((gap**2).sum(1))
        ahead = gap - 0.8 * speed  # who runs the wrong way needs time to turn
        due = (left <= np.sqrt((ahead**2).sum(1)) / 3.6 + 0.9) | (self.start[t] <= t)
        left = left[:, None]
        passing = gap / np.maximum(distance, 0.3)[:, None] * np.minimum(distance[:, None] / left, 2.5)
        end = np.where(np.isnan(self.end[t]), passing, self.end[t])  # a body may run through a lone key as it comes
        # With much time left that push would let a fast body swing out wide: it turns to its place first.
        push = np.where(left > 2.5, (gap / left - speed) / 0.5, 6 * gap / left**2 - (4 * speed + 2 * end) / left)
        return push, due & (self.frame[t] < _NEVER)
