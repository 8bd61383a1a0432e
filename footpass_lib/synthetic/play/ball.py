"""The ball: carried, struck, lofted, out of play and brought back.

At every event it is at the actor's foot, head or hands.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.casting import KEEPERS, Casting
from footpass_lib.synthetic.play.rules import BALL_SPEED, CENTRE, FETCH_SPEED, GOAL_WIDTH, RESTARTS, Act, unit
from footpass_lib.synthetic.play.transitions import OPPONENT, SAME

RADIUS = 0.11  # metres
GRAVITY = 9.81
HEAD, HANDS = 1.95, 2.15  # height of the ball at a header and a throw-in


@dataclass
class BallPath:
    """Ball (T, 3) in metres, the dead times (start, stop, kind), and the catches (frame, body) of goalkeepers."""

    ball: np.ndarray
    stoppages: list[tuple[int, int, str]] = field(default_factory=list)
    catches: list[tuple[int, int]] = field(default_factory=list)


def fly_ball(casting: Casting, position: np.ndarray, rng: np.random.Generator) -> BallPath:
    """Ball through all events that were cast, from the bodies' actual positions (T, 22, 2)."""
    flight = _Flight(casting, position, rng)
    path, first, last = flight.path, flight.frame[0], flight.frame[-1]
    path.ball[: first + 1] = flight.contact[0]
    path.stoppages.append((0, first, casting.beats[0].restart))
    for i in range(len(casting.beats) - 1):
        flight.leg(i)
    rest = np.append(flight.contact[-1, :2] + 6 * flight.out[-1], RADIUS)
    path.ball[last] = flight.contact[-1]
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
        meets = np.clip(1 - (1 - share) * seconds / 0.3, 0, 1)  # the body at its height
        height += (stop[2] - height[-1]) * meets
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


class _Flight:
    """Contact points of all events, and the legs between them; index i is an event, its leg leads to event i + 1."""

    def __init__(self, casting: Casting, position: np.ndarray, rng: np.random.Generator) -> None:
        self.beats, self.actor, self.position, self.rng = casting.beats, casting.actor, position, rng
        self.path = BallPath(np.empty((len(position), 3)))
        self.frame = [beat.frame for beat in self.beats]
        self.label = np.array([beat.label for beat in self.beats])
        self.foot = position[self.frame, self.actor]  # (N, 2)
        self.exits = [self._exit(i) for i in range(len(self.beats) - 1)]
        self.out = self._directions()
        self.contact = self._contacts()

    def _exit(self, i: int) -> np.ndarray | None:
        """Where the ball leaves the pitch (3,) after event i; for a free kick where it stops; None while in play."""
        after, rng, foot, spot = self.beats[i + 1], self.rng, self.foot[i], self.foot[i + 1]
        if not after.restart:
            return None
        if after.restart == "throw-in":
            return np.array([spot[0], 0.0 if spot[1] < CENTRE[1] else PITCH[1], RADIUS])
        if after.restart == "free-kick":
            way = spot - foot
            return np.append(foot + unit(way + 1e-6) * min(np.linalg.norm(way) + 0.5, 3.0), RADIUS)
        if after.restart == "kick-off":  # a goal
            goal = PITCH[0] if self.beats[i].team == 0 else 0.0
            return np.array([goal, CENTRE[1] + rng.uniform(-1, 1) * (GOAL_WIDTH / 2 - 0.3), rng.uniform(0.2, 2.0)])
        line = PITCH[0] * (after.team == (0 if after.restart == "corner" else 1))
        if after.restart == "corner":
            side = np.sign(spot[1] - CENTRE[1])
            return np.array([line, CENTRE[1] + side * rng.uniform(5, 20), rng.uniform(RADIUS, 1.5)])
        side = rng.choice([-1, 1]) if abs(foot[1] - CENTRE[1]) < 8 else np.sign(foot[1] - CENTRE[1])
        wide = rng.uniform(4.3, 8.5) if self.label[i] == Act.SHOT else rng.uniform(5, 22)
        if self.label[i] == Act.SHOT and rng.random() < 0.4:  # over the bar
            return np.array([line, CENTRE[1] + rng.uniform(-3.5, 3.5), rng.uniform(2.8, 4.5)])
        return np.array([line, CENTRE[1] + side * wide, rng.uniform(RADIUS, 1.5)])

    def _directions(self) -> np.ndarray:
        """Where the ball goes after each event, unit vectors (N, 2)."""
        target = self.foot.copy()
        for i, away in enumerate(self.exits):
            target[i] = self.foot[i + 1] if away is None else away[:2]
            if self._is_parried(i):
                target[i] = self.position[self.frame[i], self._opposing_keeper(i)]
        target[-1] = PITCH[0] if self.beats[-1].team == 0 else 0.0, CENTRE[1]
        return unit(target - self.foot + 1e-6)

    def _opposing_keeper(self, i: int) -> int:
        return KEEPERS[1 - self.beats[i].team]

    def _is_parried(self, i: int) -> bool:
        """Whether a shot comes back off the goalkeeper: to the shooter's side, or out of play beside the goal."""
        after = self.beats[i + 1]
        if self.label[i] != Act.SHOT or after.restart in ("goal-kick", "kick-off"):
            return False
        return bool(after.restart) or after.relation != OPPONENT

    def _contacts(self) -> np.ndarray:
        """Ball (N, 3) at the events."""
        label, foot, frame = self.label, self.foot, self.frame
        arm = np.select([np.isin(label, (Act.HEADER, Act.THROW_IN)), label == Act.BLOCK], [0.12, 0.0], 0.45)
        contact = np.column_stack([foot + arm[:, None] * self.out, np.full(len(label), RADIUS)])
        contact[label == Act.HEADER, 2] = HEAD + self.rng.uniform(-0.15, 0.3, (label == Act.HEADER).sum())
        contact[label == Act.THROW_IN, 2] = HANDS
        for i in np.flatnonzero(label == Act.BLOCK):
            to_ball = contact[i - 1, :2] - foot[i]
            flown = 22.0 * (frame[i] - frame[i - 1]) / FPS
            arm = np.clip(np.linalg.norm(to_ball) - flown, 0.3, 0.9)  # a leg stretched out when the ball is quick
            contact[i, :2] = foot[i] + arm * unit(to_ball)
            contact[i, 2] = self.rng.uniform(RADIUS, 0.9)
        for i in np.flatnonzero(label == Act.TACKLE):
            victim = self.position[frame[i], self.actor[i - 1]] - foot[i]
            contact[i, :2] = foot[i] + min(0.5, 0.5 * np.linalg.norm(victim)) * unit(victim)
        return contact

    def leg(self, i: int) -> None:
        """Fill the ball from the frame of event i up to that of event i + 1."""
        start, stop, after = self.frame[i], self.frame[i + 1], self.beats[i + 1]
        if after.restart:
            piece = self._dead(i, stop - start)
        elif after.label == Act.TACKLE or (after.relation == SAME and self.label[i] != Act.SHOT):
            piece = self._carried(self.actor[i], start, stop, self.contact[i], self.contact[i + 1])
        elif self.label[i] == Act.DRIVE:
            piece = self._lost(i, start, stop)
        else:
            piece = self._struck(i, start, stop)
        self.path.ball[start] = self.contact[i]
        self.path.ball[start + 1 : stop + 1] = piece

    def _beside(
        self, body: int, start: int, stop: int, first: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shares (n,) of a run with the ball, and the ball (n, 2) beside the body, where it must be at both ends."""
        share = np.arange(1, stop - start + 1) / (stop - start)
        way = self.position[start : stop + 1, body]
        lead = (1 - share)[:, None] * (first[:2] - way[0]) + share[:, None] * (last[:2] - way[-1])
        return share, way[1:] + lead

    def _carried(self, body: int, start: int, stop: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Ball (n, 3) at a player's feet, pushed ahead about twice a second."""
        n = stop - start
        share, flat = self._beside(body, start, stop, first, last)
        step = np.diff(self.position[start : stop + 1, body], axis=0)
        ahead = unit(step) * np.minimum(np.linalg.norm(step, axis=1)[:, None] * FPS / 5, 1)
        swell = 0.5 * np.sin(np.pi * max(1, round(n / 13)) * share[:, None]) ** 2
        height = bounce(first[2], share * n / FPS)
        height = np.maximum(height + (last[2] - height[-1]) * share**4, RADIUS)
        return np.column_stack([flat + swell * ahead, height])

    def _lost(self, i: int, start: int, stop: int) -> np.ndarray:
        """Ball (n, 3) that a dribbler loses to another player: carried, then running free."""
        n, body = stop - start, self.actor[i]
        metres = np.linalg.norm(self.position[stop, self.actor[i + 1]] - self.position[start, body])
        free = int(np.clip(np.ceil(metres / 9.0 * FPS), min(n, 6), n))
        if free == n:
            return glide(self.contact[i], self.contact[i + 1], n)
        lost = stop - free
        let_go = np.append(self.position[lost, body] + 0.5 * self.out[i], RADIUS)
        carried = self._carried(body, start, lost, self.contact[i], let_go)
        return np.concatenate([carried, glide(let_go, self.contact[i + 1], free)])

    def _struck(self, i: int, start: int, stop: int) -> np.ndarray:
        """Ball (n, 3) from one player to another."""
        n, label, after = stop - start, self.label[i], self.label[i + 1]
        receiver, goal, first = self.actor[i + 1], self.contact[i + 1], self.contact[i]
        if self._is_parried(i):
            return self._parried(i, start, n)
        if receiver in KEEPERS and label in (Act.SHOT, Act.CROSS):
            hand, flown = self._to_keeper(i, start, receiver, most=n)
            if len(flown) < n - 7:
                return np.concatenate([flown, self._held(receiver, start + len(flown), stop, hand, goal)])
            self.path.catches.pop()
        metres = np.linalg.norm(goal[:2] - first[:2])
        loft = after == Act.HEADER or label in (Act.THROW_IN, Act.SHOT) or (label == Act.CROSS and after != Act.BLOCK)
        loft |= label == Act.PASS and after != Act.BLOCK and (metres > 28 or (metres > 14 and self.rng.random() < 0.12))
        return glide(first, goal, n, bool(loft))

    def _parried(self, i: int, start: int, n: int) -> np.ndarray:
        """Ball (n, 3) of a shot that comes back: off the goalkeeper, or off a body on the way if time is short."""
        first, goal, keeper = self.contact[i], self.contact[i + 1], self._opposing_keeper(i)
        share = np.linspace(1, 0.05, 20)[:, None]
        turns = first[:2] + share * (self.position[start, keeper] - first[:2])  # (20, 2), the keeper first
        there, back = np.linalg.norm(turns - first[:2], axis=1), np.linalg.norm(turns - goal[:2], axis=1)
        in_time = np.append((there / 22.0 + back / 15.0) * FPS <= n - 2, True)
        k = min(int(np.argmax(in_time)), len(turns) - 1)
        out = int(np.clip(np.ceil(there[k] / 22.0 * FPS), 1, n - 1))
        if k == 0:
            self.path.catches.append((start + out, keeper))
        hit = np.append(turns[k], 0.9)
        return np.concatenate([glide(first, hit, out, loft=True), glide(hit, goal, n - out)])

    def _to_keeper(self, i: int, start: int, keeper: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Hand of the goalkeeper (3,), and the ball (m, 3) on its way there from event i, with m at most ``most``."""
        first = self.contact[i]
        way = np.linalg.norm(self.position[start, keeper] - first[:2])
        frames = int(np.clip(np.ceil(way / (22.0 if self.label[i] == Act.SHOT else 15.0) * FPS) + 2, 1, max(most, 1)))
        body = self.position[start + frames, keeper]
        self.path.catches.append((start + frames, keeper))
        hand = np.append(body + 0.25 * unit(first[:2] - body), 1.0)
        return hand, glide(first, hand, frames, loft=True)

    def _held(self, keeper: int, caught: int, stop: int, hand: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Ball (n, 3) in a goalkeeper's hands, put down just before it is played."""
        share, flat = self._beside(keeper, caught, stop, hand, last)
        height = last[2] + np.clip((stop - caught) * (1 - share) / 8, 0, 1) * (hand[2] - last[2])
        return np.column_stack([flat, height])

    def _dead(self, i: int, n: int) -> np.ndarray:
        """Ball (n, 3) that goes out, comes to rest, is brought back, and waits for the restart."""
        kind, start, first, spot, away = (
            self.beats[i + 1].restart, self.frame[i], self.contact[i], self.contact[i + 1], self.exits[i]
        )  # fmt: skip
        hold, speed, parried = RESTARTS[kind].hold, BALL_SPEED[self.label[i]].out, np.empty((0, 3))
        room = n - hold
        if self._is_parried(i):
            first, parried = self._to_keeper(i, start, self._opposing_keeper(i), most=room // 3)
            room, speed = room - len(parried), 12.0
        rest = self._resting_place(kind, first, away)
        out = int(np.clip(np.ceil(np.linalg.norm(away[:2] - first[:2]) / speed * FPS), 4, 0.6 * room))
        back = int(np.clip(np.ceil(np.linalg.norm(spot[:2] - rest[:2]) / FETCH_SPEED * FPS), 6, room - out - 9))
        roll = int(min(20, room - out - back))  # nine frames or more
        begin = start + len(parried) + (out if kind != "free-kick" else min(out, 10))
        self.path.stoppages.append((begin, self.frame[i + 1], kind))
        loft = self.label[i] in (Act.SHOT, Act.CROSS) or np.linalg.norm(away[:2] - first[:2]) > 25
        rolls = glide(away, rest, roll)
        lying = np.repeat(rolls[-1:], room - out - roll - back, axis=0)
        fetched = glide(rolls[-1], spot, back, loft=kind != "free-kick")
        waiting = np.repeat(spot[None], hold, axis=0)
        return np.concatenate([parried, glide(first, away, out, loft), rolls, lying, fetched, waiting])

    def _resting_place(self, kind: str, first: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Where a ball that went out stops (3,)."""
        if kind == "kick-off":  # in the net
            return np.array([away[0] + np.sign(away[0] - CENTRE[0]) * 1.2, away[1], RADIUS])
        beyond = away[:2] + unit(away[:2] - first[:2]) * (0.6 if kind == "free-kick" else 2.5)
        return np.append(np.clip(beyond, [-4, -3], [PITCH[0] + 4, PITCH[1] + 3]), RADIUS)
