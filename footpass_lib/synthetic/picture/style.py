"""How a synthetic match looks: kits, grass, light, lens and coding, drawn once a match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STATURE = 1.8  # metres of a standing player; Style.body_height says how high he is drawn

Colour = tuple[float, float, float]  # red, green, blue in 0..1


@dataclass(frozen=True)
class Kit:
    """Colours that one kind of person wears."""

    shirt: Colour
    sleeve: Colour
    shorts: Colour
    socks: Colour


@dataclass(frozen=True)
class Style:
    """Everything about a match's picture that is not the play.

    Attributes
    ----------
    kits, keepers : tuple of Kit
        Field players and goalkeepers, by club (a club changes sides at half-time).
    officials : Kit
    grass : Colour
    pattern : int
        Mowing pattern: 0 bands, 1 narrow bands, 2 chequers, 3 rings, 4 none.
    stripes, wear : float
        Contrast of the mowing, strength of the worn patches.
    crowd : tuple of Colour
        Three colours that dominate the stands.
    sun : tuple of float
        Shadow of a one metre pole: length along x and y in metres.
    shadow : float
        Darkness of a shadow, 0..1.
    camera_height, camera_distance : float
        Main camera: metres above the pitch, metres behind the near touchline.
    view_width : float
        Metres seen across the picture at the ball.
    lag : float
        Seconds that the main camera trails the ball.
    body_height : float
        Metres that a standing player of 1.8 m is drawn high; more than 1.8 keeps players readable in small pictures.
        All heights above the ground (the ball's, the goals') are stretched alike.
    exposure : float
        Share of a frame's time during which the shutter is open (motion blur).
    softness : float
        Standard deviation of the lens blur, in thousandths of the picture's width.
    noise : float
        Standard deviation of the sensor noise, in grey levels of 255.
    vignette, drift : float
        Darkening toward the corners, amplitude of slow brightness changes.
    crf : int
        Constant rate factor of the encoder.
    """

    kits: tuple[Kit, Kit]
    keepers: tuple[Kit, Kit]
    officials: Kit
    grass: Colour
    pattern: int
    stripes: float
    wear: float
    crowd: tuple[Colour, Colour, Colour]
    sun: tuple[float, float]
    shadow: float
    camera_height: float
    camera_distance: float
    view_width: float
    lag: float
    body_height: float
    exposure: float
    softness: float
    noise: float
    vignette: float
    drift: float
    crf: int


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
    """Draw a match's look.

    Parameters
    ----------
    rng : numpy Generator
    shifted : bool
        The challenge look: other colours, another shade of grass, a lower and wider camera, softer pictures and
        harder compression.
    body_height : float
        See :class:`Style`.
    """
    kits = _pick_kits(_SHIFTED_KITS if shifted else _BASE_KITS, rng)
    shade = np.array([0.27, 0.46, 0.17]) if shifted else np.array([0.20, 0.50, 0.19])
    grass = shade * rng.uniform(0.85, 1.12) + rng.uniform(-0.015, 0.015, 3)
    officials = max(_OFFICIALS, key=lambda c: min(_distance(c, kit.shirt) for kit in kits))
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.1)
    daylight = rng.random() < 0.6
    sun = (length * np.cos(angle), 0.7 * length * np.sin(angle)) if daylight else (0.12, -0.1)
    return Style(
        kits=kits,
        keepers=_pick_keepers(kits, rng),
        officials=Kit(officials, officials, _COLOURS["black"], _COLOURS["black"]),
        grass=tuple(float(c) for c in grass),
        pattern=int(rng.integers(2, 5) if shifted else rng.integers(0, 3)),
        stripes=float(rng.uniform(0.04, 0.12)),
        wear=float(rng.uniform(0.1, 0.5)),
        crowd=(kits[0].shirt, kits[1].shirt, (0.32, 0.33, 0.38)),
        sun=(float(sun[0]), float(sun[1])),
        shadow=float(rng.uniform(0.3, 0.5) if daylight else rng.uniform(0.15, 0.3)),
        camera_height=float(rng.uniform(18, 22) if shifted else rng.uniform(24, 29)),
        camera_distance=float(rng.uniform(30, 38)),
        view_width=float(rng.uniform(38, 42) if shifted else rng.uniform(34, 38)),
        lag=float(rng.uniform(0.35, 0.55)),
        body_height=body_height,
        exposure=float(rng.uniform(0.5, 0.8) if shifted else rng.uniform(0.25, 0.5)),
        softness=float(rng.uniform(1.5, 2.4) if shifted else rng.uniform(0.3, 1.2)),
        noise=float(rng.uniform(2.5, 4.5) if shifted else rng.uniform(1.0, 2.5)),
        vignette=float(rng.uniform(0.05, 0.25)),
        drift=float(rng.uniform(0.02, 0.06)),
        crf=int(rng.integers(25, 29) if shifted else rng.integers(20, 24)),
    )
