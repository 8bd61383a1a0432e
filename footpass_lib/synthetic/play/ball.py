"""The ball: carried, struck, lofted, out of play and brought back.

At every event it is at the actor's foot, head or hands.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.casting import KEEPERS, Cast
from footpass_lib.synthetic.play.rules import BALL_SPEED, FETCH_SPEED, OPPONENT, RESTARTS, SAME, Act
from footpass_lib.synthetic.play.script import Script

RADIUS = 0.11  # metres
GRAVITY = 9.81
GOAL_WIDTH = 7.32
HEAD, HANDS = 1.95, 2.15  # height of the ball at a header and a throw-in


@dataclass
class BallPath:
    """Ball (T, 3) in metres, the dead times (start, stop, kind), and the catches (frame, body) of goalkeepers."""

    ball: np.ndarray
    stoppages: list[tuple[int, int, str]] = field(default_factory=list)
    catches: list[tuple[int, int]] = field(default_factory=list)


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors (..., d) scaled to length 1; the null vector stays."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def fly_ball(script: Script, cast: Cast, position: np.ndarray, rng: np.random.Generator) -> BallPath:
    """Ball through all events of the cast, from the bodies' actual positions (T, 22, 2)."""
    flight = _Flight(script, cast, position, rng)
    path = BallPath(np.empty((len(position), 3)))
    path.ball[: cast.frame[0] + 1] = flight.contact[0]
    path.stoppages.append((0, cast.frame[0], script.restart[0]))
    for i in range(len(cast.frame) - 1):
        flight.leg(i, path)
    last = cast.frame[-1]
    rest = flight.contact[-1] + np.append(6 * flight.out[-1], 0)
    rest[2] = RADIUS
    path.ball[last] = flight.contact[-1]
    if last + 1 < len(position):
        path.ball[last + 1 :] = glide(flight.contact[-1], rest, len(position) - 1 - last)
    return path


def glide(start: np.ndarray, stop: np.ndarray, n: int, loft: bool = False) -> np.ndarray:
    """Ball (n, 3) on its n frames from ``start`` (exclusive) to ``stop`` (inclusive).

    On the ground it slows down, so that it starts at 7 m/s or more; from a height it falls and bounces. A lofted ball
    follows a parabola under gravity, cut at 11 m.
    """
    share = np.arange(1, n + 1) / n
    seconds = n / FPS
    metres = np.linalg.norm(stop[:2] - start[:2])
    drag = 0.35 if loft else np.clip(7.0 * seconds / max(metres, 0.5) - 0.6, 0.35, 3.0)
    along = (1 - np.exp(-drag * share)) / (1 - np.exp(-drag))
    flat = start[:2] + along[:, None] * (stop[:2] - start[:2])
    if loft:
        peak = min(GRAVITY * seconds**2 / 8, 11)
        height = start[2] + (stop[2] - start[2]) * share + 4 * peak * share * (1 - share)
    else:
        height = bounce(start[2], share * seconds)
        height += (stop[2] - height[-1]) * np.clip(
            1 - (1 - share) * seconds / 0.3, 0, 1
        )  # meets the body at its height
    return np.column_stack([flat, np.maximum(height, RADIUS)])


def bounce(height: float, seconds: np.ndarray) -> np.ndarray:
    """Height (n,) of a ball let fall from ``height``, bouncing with restitution 0.55, at times (n,)."""
    drop = max(height - RADIUS, 0.0)
    fall = np.sqrt(2 * drop / GRAVITY)
    result = np.where(seconds < fall, drop - GRAVITY * seconds**2 / 2, 0.0)
    begin, speed = fall, 0.55 * GRAVITY * fall
    while speed > 0.4:
        inside = (seconds >= begin) & (seconds < begin + 2 * speed / GRAVITY)
        since = seconds - begin
        result = np.where(inside, speed * since - GRAVITY * since**2 / 2, result)
        begin, speed = begin + 2 * speed / GRAVITY, 0.55 * speed
    return result + RADIUS


def _frames(start: np.ndarray, stop: np.ndarray, speed: float) -> int:
    return int(np.ceil(np.linalg.norm(stop[:2] - start[:2]) / speed * FPS))


class _Flight:
    """Contact points of all events, and the legs between them."""

    def __init__(self, script: Script, cast: Cast, position: np.ndarray, rng: np.random.Generator) -> None:
        self.script, self.cast, self.position, self.rng = script, cast, position, rng
        n = len(cast.frame)
        self.label = script.label[:n]
        self.foot = position[cast.frame, cast.actor]  # (N, 2)
        self.exits = [self._exit(i) for i in range(n - 1)] + [None]
        self.out = self._directions()
        self.contact = self._contacts()

    def _directions(self) -> np.ndarray:
        """Where the ball goes after each event, unit vectors (N, 2)."""
        n = len(self.label)
        target = self.foot.copy()
        for i in range(n - 1):
            target[i] = self.foot[i + 1] if self.exits[i] is None else self.exits[i][:2]
            if self._is_parried(i):
                target[i] = self.position[self.cast.frame[i], self._opposing_keeper(i)]
        target[-1] = np.where(self.script.team[n - 1] == 0, PITCH[0], 0.0), PITCH[1] / 2
        return unit(target - self.foot + 1e-6)

    def _opposing_keeper(self, i: int) -> int:
        return KEEPERS[1 - self.script.team[i]]

    def _is_parried(self, i: int) -> bool:
        """Whether a shot comes back off the goalkeeper: to the shooter's side, or out of play beside the goal."""
        if self.label[i] != Act.SHOT:
            return False
        kind = self.script.restart[i + 1]
        return kind not in ("goal-kick", "kick-off") if kind else self.script.relation[i + 1] != OPPONENT

    def _contacts(self) -> np.ndarray:
        """Ball (N, 3) at the events."""
        n = len(self.label)
        arm = np.select([np.isin(self.label, (Act.HEADER, Act.THROW_IN)), self.label == Act.BLOCK], [0.12, 0.0], 0.45)
        contact = np.column_stack([self.foot + arm[:, None] * self.out, np.full(n, RADIUS)])
        contact[self.label == Act.HEADER, 2] = HEAD + self.rng.uniform(-0.15, 0.3, (self.label == Act.HEADER).sum())
        contact[self.label == Act.THROW_IN, 2] = HANDS
        for i in np.flatnonzero(self.label == Act.BLOCK):
            to_ball = contact[i - 1, :2] - self.foot[i]
            flown = 22.0 * (self.cast.frame[i] - self.cast.frame[i - 1]) / FPS
            arm = np.clip(np.linalg.norm(to_ball) - flown, 0.3, 0.9)  # a leg stretched out when the ball is quick
            contact[i, :2] = self.foot[i] + arm * unit(to_ball)
            contact[i, 2] = self.rng.uniform(RADIUS, 0.9)
        for i in np.flatnonzero(self.label == Act.TACKLE):
            victim = self.position[self.cast.frame[i], self.cast.actor[i - 1]] - self.foot[i]
            contact[i, :2] = self.foot[i] + min(0.5, 0.5 * np.linalg.norm(victim)) * unit(victim)
        return contact

    def _exit(self, i: int) -> np.ndarray | None:
        """Where the ball leaves the pitch (3,) after event i; for a free kick where it stops; None while in play."""
        kind, rng, foot = self.script.restart[i + 1], self.rng, self.foot[i]
        if not kind:
            return None
        spot, team = self.foot[i + 1], self.script.team[i + 1]
        if kind == "throw-in":
            return np.array([spot[0], 0.0 if spot[1] < PITCH[1] / 2 else PITCH[1], RADIUS])
        if kind == "free-kick":
            way = spot - foot
            return np.append(foot + unit(way + 1e-6) * min(np.linalg.norm(way) + 0.5, 3.0), RADIUS)
        line = PITCH[0] * (team == (0 if kind == "corner" else 1))
        if kind == "kick-off":
            away = PITCH[0] if self.script.team[i] == 0 else 0.0
            return np.array([away, PITCH[1] / 2 + rng.uniform(-1, 1) * (GOAL_WIDTH / 2 - 0.3), rng.uniform(0.2, 2.0)])
        if kind == "corner":
            side = np.sign(spot[1] - PITCH[1] / 2)
            return np.array([line, PITCH[1] / 2 + side * rng.uniform(5, 20), rng.uniform(RADIUS, 1.5)])
        side = rng.choice([-1, 1]) if abs(foot[1] - PITCH[1] / 2) < 8 else np.sign(foot[1] - PITCH[1] / 2)
        wide = rng.uniform(4.3, 8.5) if self.label[i] == Act.SHOT else rng.uniform(5, 22)
        if self.label[i] == Act.SHOT and rng.random() < 0.4:  # over the bar
            return np.array([line, PITCH[1] / 2 + rng.uniform(-3.5, 3.5), rng.uniform(2.8, 4.5)])
        return np.array([line, PITCH[1] / 2 + side * wide, rng.uniform(RADIUS, 1.5)])

    def leg(self, i: int, path: BallPath) -> None:
        """Fill the ball from the frame of event i up to that of event i + 1."""
        start, stop = self.cast.frame[i], self.cast.frame[i + 1]
        path.ball[start], n = self.contact[i], stop - start
        body, after = self.cast.actor[i], self.label[i + 1]
        if self.script.restart[i + 1]:
            piece = self._dead(i, n, path)
        elif after == Act.TACKLE or (self.script.relation[i + 1] == SAME and self.label[i] != Act.SHOT):
            piece = self._carried(body, start, stop, self.contact[i], self.contact[i + 1])
        elif self.label[i] == Act.DRIVE:
            piece = self._lost(i, body, start, stop)
        else:
            piece = self._struck(i, start, stop, path)
        path.ball[start + 1 : stop + 1] = piece

    def _carried(self, body: int, start: int, stop: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Ball (n, 3) at a player's feet: pushed ahead about twice a second, and where it must be at both ends."""
        n = stop - start
        share = np.arange(1, n + 1)[:, None] / n
        way = self.position[start : stop + 1, body]
        lead = (1 - share) * (first[:2] - way[0]) + share * (last[:2] - way[-1])
        step = np.diff(way, axis=0)
        ahead = unit(step) * np.minimum(np.linalg.norm(step, axis=1)[:, None] * FPS / 5, 1)
        pushes = max(1, round(n / 13))
        swell = 0.5 * np.sin(np.pi * pushes * share) ** 2
        height = bounce(first[2], share[:, 0] * n / FPS)
        height = np.maximum(height + (last[2] - height[-1]) * share[:, 0] ** 4, RADIUS)
        return np.column_stack([way[1:] + lead + swell * ahead, height])

    def _lost(self, i: int, body: int, start: int, stop: int) -> np.ndarray:
        """Ball (n, 3) that a dribbler loses to another player: carried, then running free."""
        n = stop - start
        metres = np.linalg.norm(self.position[stop, self.cast.actor[i + 1]] - self.position[start, body])
        free = int(np.clip(np.ceil(metres / 9.0 * FPS), min(n, 6), n))
        if free == n:
            return glide(self.contact[i], self.contact[i + 1], n)
        turn = start + n - free
        let_go = np.append(self.position[turn, body] + 0.5 * self.out[i], RADIUS)
        carried = self._carried(body, start, turn, self.contact[i], let_go)
        return np.concatenate([carried, glide(let_go, self.contact[i + 1], free)])

    def _struck(self, i: int, start: int, stop: int, path: BallPath) -> np.ndarray:
        """Ball (n, 3) from one player to another."""
        n, label, after = stop - start, self.label[i], self.label[i + 1]
        receiver, goal, first = self.cast.actor[i + 1], self.contact[i + 1], self.contact[i]
        if self._is_parried(i):
            return self._parried(i, start, n, path)
        if receiver in KEEPERS and label in (Act.SHOT, Act.CROSS):
            hand, flown = self._to_keeper(i, start, receiver, path, most=n)
            if len(flown) < n - 7:
                return np.concatenate([flown, self._held(receiver, start + len(flown), stop, hand, goal)])
            path.catches.pop()
        metres = np.linalg.norm(goal[:2] - first[:2])
        loft = after == Act.HEADER or label in (Act.THROW_IN, Act.SHOT) or (label == Act.CROSS and after != Act.BLOCK)
        loft |= label == Act.PASS and after != Act.BLOCK and (metres > 28 or (metres > 14 and self.rng.random() < 0.12))
        return glide(first, goal, n, bool(loft))

    def _parried(self, i: int, start: int, n: int, path: BallPath) -> np.ndarray:
        """Ball (n, 3) of a shot that comes back: off the goalkeeper, or off a body on the way if time is short."""
        first, goal, keeper = self.contact[i], self.contact[i + 1], self._opposing_keeper(i)
        share = np.linspace(1, 0.05, 20)[:, None]
        turns = first[:2] + share * (self.position[start, keeper] - first[:2])  # (20, 2), the keeper first
        legs = np.linalg.norm(turns - first[:2], axis=1), np.linalg.norm(turns - goal[:2], axis=1)
        in_time = np.append((legs[0] / 22.0 + legs[1] / 15.0) * FPS <= n - 2, True)
        k = min(int(np.argmax(in_time)), len(turns) - 1)
        out = int(np.clip(np.ceil(legs[0][k] / 22.0 * FPS), 1, n - 1))
        if k == 0:
            path.catches.append((start + out, keeper))
        hit = np.append(turns[k], 0.9)
        return np.concatenate([glide(first, hit, out, loft=True), glide(hit, goal, n - out)])

    def _to_keeper(self, i: int, start: int, keeper: int, path: BallPath, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Hand of the goalkeeper (3,), and the ball (m, 3) on its way there from event i, with m at most ``most``."""
        first = self.contact[i]
        way = np.linalg.norm(self.position[start, keeper] - first[:2])
        frames = int(np.clip(np.ceil(way / (22.0 if self.label[i] == Act.SHOT else 15.0) * FPS) + 2, 1, max(most, 1)))
        body = self.position[start + frames, keeper]
        path.catches.append((start + frames, keeper))
        hand = np.append(body + 0.25 * unit(first[:2] - body), 1.0)
        return hand, glide(first, hand, frames, loft=True)

    def _held(self, keeper: int, caught: int, stop: int, hand: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Ball (n, 3) in a goalkeeper's hands, put down just before it is played."""
        n = stop - caught
        share = np.arange(1, n + 1)[:, None] / n
        way = self.position[caught : stop + 1, keeper]
        lead = (1 - share) * (hand[:2] - way[0]) + share * (last[:2] - way[-1])
        height = last[2] + np.clip(n * (1 - share[:, 0]) / 8, 0, 1) * (hand[2] - last[2])
        return np.column_stack([way[1:] + lead, height])

    def _dead(self, i: int, n: int, path: BallPath) -> np.ndarray:
        """Ball (n, 3) that goes out, comes to rest, is brought back, and waits for the restart."""
        kind, first, spot, away = self.script.restart[i + 1], self.contact[i], self.contact[i + 1], self.exits[i]
        room = n - RESTARTS[kind].hold
        pieces = []
        if self._is_parried(i):
            start = self.cast.frame[i]
            first, flown = self._to_keeper(i, start, self._opposing_keeper(i), path, most=room // 3)
            pieces.append(flown)
            room -= len(flown)
        speed = BALL_SPEED[self.label[i]].out if not pieces else 12.0
        out = int(np.clip(_frames(first, away, speed), 4, 0.6 * room))
        rest = self._resting_place(kind, first, away)
        back = int(np.clip(_frames(rest, spot, FETCH_SPEED), 6, room - out - 9))
        roll = int(min(20, room - out - back))  # nine frames or more
        begin = self.cast.frame[i] + n - RESTARTS[kind].hold - room + (out if kind != "free-kick" else min(out, 10))
        path.stoppages.append((begin, self.cast.frame[i + 1], kind))
        loft = self.label[i] in (Act.SHOT, Act.CROSS) or np.linalg.norm(away[:2] - first[:2]) > 25
        pieces.append(glide(first, away, out, loft))
        pieces.append(glide(away, rest, roll))
        lying = pieces[-1][-1]
        pieces.append(np.repeat(lying[None], room - out - roll - back, axis=0))
        pieces.append(glide(lying, spot, back, loft=kind != "free-kick"))
        pieces.append(np.repeat(spot[None], RESTARTS[kind].hold, axis=0))
        return np.concatenate(pieces)

    def _resting_place(self, kind: str, first: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Where a ball that went out stops (3,)."""
        if kind == "kick-off":  # in the net
            return np.array([away[0] + np.sign(away[0] - PITCH[0] / 2) * 1.2, away[1], RADIUS])
        beyond = away[:2] + unit(away[:2] - first[:2]) * (0.6 if kind == "free-kick" else 2.5)
        return np.append(np.clip(beyond, [-4, -3], [PITCH[0] + 4, PITCH[1] + 3]), RADIUS)
