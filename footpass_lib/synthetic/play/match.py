"""Synthetic matches: squads and formations of a match, and its halves as they are played."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from footpass_lib.schema import FPS, FootpassError, slot_of
from footpass_lib.synthetic.play import formation
from footpass_lib.synthetic.play.ball import BallPath, fly_ball
from footpass_lib.synthetic.play.casting import Caster, Casting, LineUpChange
from footpass_lib.synthetic.play.formation import FORMATIONS, N_BODIES, TEAM_OF_BODY, formation_roles
from footpass_lib.synthetic.play.gestures import choreograph, face, referee_run
from footpass_lib.synthetic.play.movement import run_bodies, wander
from footpass_lib.synthetic.play.played import Play
from footpass_lib.synthetic.play.rules import CENTRE, PlaySettings
from footpass_lib.synthetic.play.script import draw_script

__all__ = ["SHORTEST_HALF", "Match", "Plan", "PlaySettings", "Squad", "new_match", "plan_half", "play_half"]

SQUAD_SIZE = 18
SHORTEST_HALF = 10 * FPS  # frames; the play needs some seconds to get going


@dataclass(frozen=True)
class Squad:
    """A formation, and jerseys: of the eleven (goalkeeper first, in the order of the formation), then of the bench."""

    formation: str
    jerseys: tuple[int, ...]


@dataclass(frozen=True)
class Switch:
    """A change planned from a share of a half on: a substitute comes on for a player, or two players trade roles."""

    half_number: int
    squad: int
    share: float
    index: int  # in the eleven
    substitute: int | None = None  # jersey
    partner: int | None = None  # index in the eleven


@dataclass(frozen=True)
class Match:
    """Two squads; squad 0 plays on the left (team 0) in the first half and on the right (team 1) in the second."""

    game: int
    squads: tuple[Squad, Squad]
    kick_off: int  # squad that kicks off the first half
    switches: tuple[Switch, ...]


@dataclass(frozen=True)
class Plan:
    """A half before anybody moves: who plays which role, what happens, and who does it."""

    n_frames: int
    jerseys: np.ndarray  # (22,) of the bodies at the start
    roles: np.ndarray  # (22,) likewise
    places: np.ndarray  # (22, 2) depth and side of the roles
    casting: Casting

    def events(self) -> pd.DataFrame:
        """One row an event: ``frame``, ``body`` (0..21), ``class``."""
        cast = zip(self.casting.beats, self.casting.actor, strict=True)
        rows = [(beat.frame, body, beat.label) for beat, body in cast]
        return pd.DataFrame(rows, columns=["frame", "body", "class"])

    def by_frame(self, values: np.ndarray) -> np.ndarray:
        """Spread values of the 22 bodies' roles over the frames, (T, 22, ...), following the swaps of roles."""
        spread = np.broadcast_to(values, (self.n_frames, *values.shape)).copy()
        for frame, a, b in self.casting.swaps:
            spread[frame:, [a, b]] = spread[frame:, [b, a]]
        return spread


def new_match(game: int, rng: np.random.Generator) -> Match:
    """Draw formations, jersey numbers, a substitution a team and half, and changes of position of a match."""
    squads, switches = [], []
    for squad in (0, 1):
        others = 2 + rng.choice(38, SQUAD_SIZE - 1, replace=False)
        squads.append(Squad(str(rng.choice(list(FORMATIONS))), (1, *(int(number) for number in others))))
        bench = list(squads[squad].jerseys[11:])
        for half_number in (1, 2):
            order = (1 + rng.permutation(10)).tolist()  # of the field players
            share = float(rng.uniform(0.15, 0.7))
            switches.append(Switch(half_number, squad, share, order[0], substitute=bench.pop(0)))
            if rng.random() < 0.5:
                switches.append(Switch(half_number, squad, float(rng.uniform(0.2, 0.8)), order[-2], partner=order[-1]))
    return Match(game, (squads[0], squads[1]), int(rng.integers(2)), tuple(switches))


def line_up(match: Match, squad: int, half_number: int) -> list[int]:
    """Jerseys of the eleven at the start of a half; whatever was planned for the half before is done by then."""
    eleven = list(match.squads[squad].jerseys[:11])
    for switch in match.switches:
        if switch.squad == squad and switch.half_number < half_number:
            if switch.substitute is not None:
                eleven[switch.index] = switch.substitute
            else:
                a, b = switch.index, switch.partner
                eleven[a], eleven[b] = eleven[b], eleven[a]
    return eleven


def plan_half(match: Match, half_number: int, n_frames: int, rng: np.random.Generator, settings: PlaySettings) -> Plan:
    """Draw what happens in a half and who does it; errors as in :func:`play_half`."""
    if half_number not in (1, 2) or n_frames < SHORTEST_HALF:
        raise FootpassError(
            f"game {match.game}: half {half_number} of {n_frames} frames; expected half 1 or 2 and at least "
            f"{SHORTEST_HALF} frames"
        )
    squads = (0, 1) if half_number == 1 else (1, 0)  # by team
    formations = [match.squads[squad].formation for squad in squads]
    places = np.concatenate([formation.formation_places(name) for name in formations])
    kicking = squads.index(match.kick_off if half_number == 1 else 1 - match.kick_off)
    script = draw_script(n_frames, kicking, rng, settings)
    changes = _due_changes(match, half_number, squads, n_frames)
    casting = Caster(script, places, changes, rng).run(n_frames)
    jerseys = np.concatenate([line_up(match, squad, half_number) for squad in squads])
    roles = np.concatenate([formation_roles(name) for name in formations])
    return Plan(n_frames, jerseys, roles, places, casting)


def play_half(
    match: Match, half_number: int, n_frames: int, first_frame: int, rng: np.random.Generator, settings: PlaySettings
) -> Play:
    """Play half 1 or 2 of ``n_frames`` frames, 25 a second, the first of which is ``first_frame`` of the video.

    FootpassError if the half number is not 1 or 2, or the half is shorter than 10 seconds.
    """
    plan = plan_half(match, half_number, n_frames, rng, settings)
    position, velocity = _move(plan, rng)
    path = fly_ball(plan.casting, position, rng)
    events = plan.events()
    move, phase = choreograph(events, path, position, settings.lookalikes, rng)
    heading = face(position, velocity, path.ball, events)
    bodies = {"position": position, "velocity": velocity, "heading": heading, "move": move, "phase": phase}
    return _assemble(f"game_{match.game}_H{half_number}", first_frame, plan, bodies, path)


def _due_changes(match: Match, half_number: int, squads: tuple[int, int], n_frames: int) -> list[LineUpChange]:
    """The match's switches of this half as changes of bodies, in order of time."""
    changes = []
    for switch in match.switches:
        if switch.half_number == half_number:
            first = 11 * squads.index(switch.squad)  # body of the team
            partner = None if switch.partner is None else first + switch.partner
            frame = round(switch.share * n_frames)
            changes.append(LineUpChange(frame, first + switch.index, switch.substitute, partner))
    return sorted(changes, key=lambda change: change.frame)


def _move(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (T, 22, 2) of all bodies."""
    cast = plan.casting
    ball, attack, live = _outline(plan)
    places = plan.by_frame(plan.places)
    slow_ball = gaussian_filter1d(ball, 0.6 * FPS, axis=0, mode="nearest")
    anchors = formation.shape(slow_ball, gaussian_filter1d(attack, 0.8 * FPS, mode="nearest"), places)
    size = np.where(np.arange(N_BODIES) % 11 == 0, 0.3, 2.2)[:, None] * np.array([1.2, 1.0])
    anchors += wander(plan.n_frames, size, 3.0, rng)
    for i, beat in enumerate(cast.beats):
        begin = cast.beats[i - 1].frame + 20 if i else 0
        span = slice(begin, beat.frame + (25 if beat.restart == "corner" else 5))
        if beat.restart == "kick-off":
            anchors[span] = formation.kick_off_shape(anchors[span], beat.team)
        if beat.restart == "corner":
            near_side = bool(cast.place[i][1] > CENTRE[1])
            anchors[span] = formation.corner_shape(anchors[span], beat.team, near_side, places[begin, :, 0])
    start = formation.opening_stands(plan.places, cast.beats[0].team)
    start[cast.actor[0]] = cast.place[0]
    anchors[: cast.beats[0].frame] = start
    return run_bodies(start, anchors, ball, attack, live, cast.keys)


def _outline(plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rough ball (T, 2), side in possession (T,) as 1 for team 0, and whether the ball is in play (T,)."""
    frames, places, before = [], [], -45
    attack, live = np.zeros(plan.n_frames), np.ones(plan.n_frames, bool)
    for beat, place in zip(plan.casting.beats, plan.casting.place, strict=True):
        if beat.restart:
            frames.append(min(before + 45, beat.frame - 10))
            places.append(place)
            live[max(min(before + 20, beat.frame), 0) : beat.frame] = False
            attack[max(before, 0) : beat.frame] = beat.team == 0
        frames.append(beat.frame)
        places.append(place)
        attack[beat.frame :] = beat.team == 0
        before = beat.frame
    at, course = np.arange(plan.n_frames), np.array(places)
    return np.column_stack([np.interp(at, frames, course[:, axis]) for axis in (0, 1)]), attack, live


def _assemble(half: str, first_frame: int, plan: Plan, bodies: dict[str, np.ndarray], path: BallPath) -> Play:
    """Hand the bodies to the players who were in them: the starting line-ups first, substitutes after them."""
    n_frames = plan.n_frames
    jersey, team = list(plan.jerseys), list(TEAM_OF_BODY)
    player = np.broadcast_to(np.arange(N_BODIES), (n_frames, N_BODIES)).copy()  # (T, 22): who is in the body
    for frame, body, substitute in sorted(plan.casting.handovers):
        player[frame:, body] = len(jersey)
        team.append(TEAM_OF_BODY[body])
        jersey.append(substitute)
    at = np.arange(n_frames)[:, None]
    slot = np.full((n_frames, len(jersey)), -1, np.int8)
    slot[at, player] = slot_of(TEAM_OF_BODY, plan.by_frame(plan.roles))
    spread = {}
    for name, values in bodies.items():
        empty = 0 if name in ("move", "phase") else np.nan
        dtype = np.uint8 if name == "move" else np.float32
        spread[name] = np.full((n_frames, len(jersey), *values.shape[2:]), empty, dtype)
        spread[name][at, player] = values
    events = plan.events()
    events["player"] = player[events["frame"], events["body"]]
    return Play(
        half=half,
        first_frame=first_frame,
        **spread,
        ball=path.ball.astype(np.float32),
        slot=slot,
        team=np.array(team),
        jersey=np.array(jersey),
        referee=referee_run(path.ball),
        events=events[["frame", "player", "class"]],
        stoppages=pd.DataFrame(path.stoppages, columns=["start", "stop", "restart"]),
    )
