"""How a synthetic match looks: kits, grass, light, lens and coding, drawn once a match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STATURE = 1.8  # metres of a standing player; Style.body_height says how high they are drawn

Colour = tuple[float, float, float]  # red, green, blue in 0..1


class Kit(NamedTuple):
    """Colours that one kind of person wears."""

    shirt: Colour
    sleeve: Colour
    shorts: Colour
    socks: Colour


@dataclass(frozen=True)
class Style:
    """Everything about a match's picture that is not the play."""

    kits: tuple[Kit, Kit]  # of field players, by club (a club changes sides at half-time)
    keepers: tuple[Kit, Kit]
    officials: Kit
    grass: Colour
    pattern: int  # of mowing: 0 bands, 1 narrow bands, 2 chequers, 3 rings, 4 none
    stripes: float  # contrast of the mowing
    wear: float  # strength of the worn patches
    crowd: tuple[Colour, Colour, Colour]  # that dominate the stands
    sun: tuple[float, float]  # shadow of a one metre pole along x and y, metres
    shadow: float  # darkness of a shadow, 0..1
    camera_height: float  # of the main camera above the pitch, metres
    camera_distance: float  # metres behind the near touchline
    view_width: float  # metres seen across the picture at the ball
    lag: float  # seconds that the main camera trails the ball
    # Metres that a standing player of 1.8 m is drawn high; more keeps players readable in small pictures. All heights
    # above the ground (the ball's, the goals') are stretched alike.
    body_height: float
    exposure: float  # share of a frame's time during which the shutter is open (motion blur)
    softness: float  # standard deviation of the lens blur, thousandths of the picture's width
    noise: float  # standard deviation of the sensor noise, grey levels of 255
    vignette: float  # darkening toward the corners
    drift: float  # amplitude of slow brightness changes
    crf: int  # constant rate factor of the encoder


# Colours of home broadcasts, and those of the shifted (challenge) ones: no hue is in both lists.
_COLOURS = {
    "red": (0.80, 0.08, 0.10), "blue": (0.10, 0.22, 0.72), "white": (0.93, 0.93, 0.92), "yellow": (0.95, 0.83, 0.12),
    "black": (0.09, 0.09, 0.11), "claret": (0.45, 0.06, 0.16), "sky": (0.47, 0.72, 0.92),
    "orange": (0.96, 0.45, 0.05), "pink": (0.95, 0.55, 0.68), "purple": (0.36, 0.14, 0.55),
    "teal": (0.02, 0.48, 0.50), "sand": (0.86, 0.74, 0.52), "navy": (0.07, 0.10, 0.28), "silver": (0.70, 0.72, 0.75),
}  # fmt: skip
_BASE_KITS = ("red", "blue", "white", "yellow", "black", "claret", "sky")
_SHIFTED_KITS = ("orange", "pink", "purple", "teal", "sand", "navy", "silver")
_KEEPERS = ((0.10, 0.85, 0.35), (0.98, 0.62, 0.05), (0.65, 0.25, 0.85), (0.15, 0.75, 0.85), (0.80, 0.85, 0.10))
_OFFICIALS = ((0.09, 0.09, 0.11), (0.90, 0.90, 0.20), (0.35, 0.95, 0.75))
_MIN_CONTRAST = 0.55  # Euclidean distance in RGB between the shirts of the two clubs


def _distance(a: Colour, b: Colour) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))


def _pick_kits(names: tuple[str, ...], rng: np.random.Generator) -> tuple[Kit, Kit]:
    """Two kits whose shirts are told apart at a glance."""
    first = _COLOURS[names[rng.integers(len(names))]]
    rivals = [_COLOURS[n] for n in names if _distance(_COLOURS[n], first) > _MIN_CONTRAST]
    second = rivals[rng.integers(len(rivals))]
    kits = []
    for shirt, other in ((first, second), (second, first)):
        trims = [_COLOURS["white"], _COLOURS["black"], shirt]
        shorts, socks, sleeve = (trims[rng.integers(3)] for _ in range(3))
        kits.append(Kit(shirt, sleeve if rng.random() < 0.35 else shirt, shorts, socks if socks != other else shirt))
    return kits[0], kits[1]


def _pick_keepers(kits: tuple[Kit, Kit], rng: np.random.Generator) -> tuple[Kit, Kit]:
    order = [_KEEPERS[i] for i in rng.permutation(len(_KEEPERS))]
    clear = sorted(order, key=lambda c: min(_distance(c, kit.shirt) for kit in kits) < 0.4)
    return tuple(Kit(c, c, c, c) for c in clear[:2])


def draw_style(rng: np.random.Generator, shifted: bool = False, body_height: float = 2.6) -> Style:
    """Draw a match's look; ``shifted`` is the challenge's.

    It has other colours, another shade of grass, a lower and wider camera, softer pictures and harder compression.
    """

    def between(usual: tuple[float, float], challenge: tuple[float, float] | None = None) -> float:
        return float(rng.uniform(*(challenge if shifted and challenge else usual)))

    kits = _pick_kits(_SHIFTED_KITS if shifted else _BASE_KITS, rng)
    shade = np.array([0.27, 0.46, 0.17]) if shifted else np.array([0.20, 0.50, 0.19])
    grass = shade * rng.uniform(0.85, 1.12) + rng.uniform(-0.015, 0.015, 3)
    officials = max(_OFFICIALS, key=lambda c: min(_distance(c, kit.shirt) for kit in kits))
    angle, length = between((0, 2 * np.pi)), between((0.3, 1.1))
    daylight = rng.random() < 0.6
    sun = (float(length * np.cos(angle)), float(0.7 * length * np.sin(angle))) if daylight else (0.12, -0.1)
    return Style(
        kits=kits,
        keepers=_pick_keepers(kits, rng),
        officials=Kit(officials, officials, _COLOURS["black"], _COLOURS["black"]),
        grass=tuple(grass.tolist()),
        pattern=int(rng.integers(2, 5) if shifted else rng.integers(0, 3)),
        stripes=between((0.04, 0.12)),
        wear=between((0.1, 0.5)),
        crowd=(kits[0].shirt, kits[1].shirt, (0.32, 0.33, 0.38)),
        sun=sun,
        shadow=between((0.3, 0.5) if daylight else (0.15, 0.3)),
        camera_height=between((24, 29), challenge=(18, 22)),
        camera_distance=between((30, 38)),
        view_width=between((34, 38), challenge=(38, 42)),
        lag=between((0.35, 0.55)),
        body_height=body_height,
        exposure=between((0.25, 0.5), challenge=(0.5, 0.8)),
        softness=between((0.3, 1.2), challenge=(1.5, 2.4)),
        noise=between((1.0, 2.5), challenge=(2.5, 4.5)),
        vignette=between((0.05, 0.25)),
        drift=between((0.02, 0.06)),
        crf=int(rng.integers(25, 29) if shifted else rng.integers(20, 24)),
    )
