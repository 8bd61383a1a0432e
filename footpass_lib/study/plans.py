"""Profiles (smoke, embedded, full), and the places and seeds that a notebook works with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from footpass_lib.models.dst import DSTSettings
from footpass_lib.models.gnn import GNNSettings
from footpass_lib.models.taad import TAADSettings
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.sampling import ClipSettings
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.detector import InferenceSettings
from footpass_lib.spotting.stitching import DecodeSettings
from footpass_lib.synthetic.production import SyntheticSizes
from footpass_lib.training.dst_loss import LossSettings
from footpass_lib.training.schedule import TrainSettings


@dataclass(frozen=True)
class Phase:
    """One stretch of a detector's training: which clips, how they are weighted, and the schedule.

    Attributes
    ----------
    clips : ClipSettings
    train : TrainSettings
    background, foreground : float
        Weights of the classes in the cross-entropy.
    """

    clips: ClipSettings
    train: TrainSettings
    background: float = 0.05
    foreground: float = 0.95


@dataclass(frozen=True)
class TAADPlan:
    """How the detector is built, trained and run over matches; the defaults are the paper's.

    Attributes
    ----------
    model : TAADSettings
    phases : tuple of Phase
        Trained one after the other, each from where the one before ended.
    validation_clips : int
        Clips of the validation split on which the loss is watched.
    inference : InferenceSettings
    """

    model: TAADSettings = field(default_factory=TAADSettings)
    phases: tuple[Phase, ...] = ()
    validation_clips: int = 64
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True)
class GNNPlan:
    """How the graph network is trained and run over matches; the defaults are the paper's.

    Attributes
    ----------
    model : GNNSettings
    cached : bool
        Stand on the kept player features of the trained detector, frozen, instead of on a video encoder of its own.
    clips : ClipSettings
        All 26 slots are nodes, so ``n_negatives`` is None.
    train : TrainSettings
    gammas : tuple of (int, float)
        Power of the focal loss from each of these epochs on.
    validation_clips : int
        Clips of the validation split on which the loss is watched.
    inference : InferenceSettings
    """

    model: GNNSettings = field(default_factory=GNNSettings)
    cached: bool = False
    clips: ClipSettings = field(
        default_factory=lambda: ClipSettings(n_negatives=None, per_class=600, background=200, background_random=1.0)
    )
    train: TrainSettings = field(default_factory=lambda: TrainSettings(accumulation=10, mixed_precision="bf16"))
    gammas: tuple[tuple[int, float], ...] = ((1, 1.0), (3, 1.25))
    validation_clips: int = 64
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True)
class DSTPlan:
    """How the sequence model is built, trained and run over matches; the defaults are the paper's.

    Attributes
    ----------
    model : DSTSettings
        Its ``sources`` stays 1 here: the built model's (``network``) follows from the plan's.
    sources : tuple of str
        Whose logits the encoder is told, in this order: ``("taad",)``, or ``("taad", "gnn")`` (second extension of the
        reproduced paper).
    train : TrainSettings
    windows_per_half : int
        Random windows of each training half in an epoch.
    shuffled : float
        Share of them with the players of each team in random slots, see ``DSTWindows``.
    loss : LossSettings
    decode : DecodeSettings

    Raises
    ------
    FootpassError
        If the sources are others, or the model says how many.
    """

    model: DSTSettings = field(default_factory=DSTSettings)
    sources: tuple[str, ...] = ("taad",)
    train: TrainSettings = field(
        default_factory=lambda: TrainSettings(
            epochs=10, batch_size=96, accumulation=1, learning_rates={"head": 2.5e-4}, milestones=(3, 6, 8),
            warmup_steps=1000, mixed_precision="bf16", num_workers=8,
        )
    )  # fmt: skip
    windows_per_half: int = 1000
    shuffled: float = 0.0
    loss: LossSettings = field(default_factory=LossSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)

    def __post_init__(self) -> None:
        if self.sources not in (("taad",), ("taad", "gnn")):
            raise FootpassError(f"DST plan: sources={self.sources}, expected ('taad',) or ('taad', 'gnn')")
        if self.model.sources != 1:
            raise FootpassError(f"DST plan: model.sources={self.model.sources}; name the sources in the plan instead")

    @property
    def network(self) -> DSTSettings:
        """Settings of the model that is built."""
        return replace(self.model, sources=len(self.sources))


@dataclass(frozen=True)
class Profile:
    """Sizes of one way to run the study: the code path is the same in all of them.

    Attributes
    ----------
    name : str
        ``smoke`` (does it run?), ``embedded`` (the default: a laptop, no download) or ``full`` (the paper's settings).
    bootstrap_resamples : int
        Resamples behind every interval.
    synthetic : SyntheticSizes or None
        The matches that are made for this profile; None where the data root is the gated archive.
    taad : TAADPlan
        The detector.
    gnn : GNNPlan
        The graph network.
    dst : DSTPlan
        The sequence model.
    stacked : bool
        Whether the sequence model learns from other matches than the detectors: these from the first half of the
        training matches, it from the second, on which logits are as good, or as bad, as on new matches. Where few
        matches are seen many times, detectors are far better on their own. The paper has enough for both.
    """

    name: str
    bootstrap_resamples: int
    synthetic: SyntheticSizes | None
    taad: TAADPlan
    gnn: GNNPlan
    dst: DSTPlan
    stacked: bool = False


_EMBEDDED_MATCHES = SyntheticSizes(
    train=72, val=6, test=24, challenge=12, half_minutes=3, height=128, width=224, rarity=0.85, dead_time=0.2
)  # fmt: skip
_SMOKE_MATCHES = SyntheticSizes(
    train=1, val=0.5, test=0.5, challenge=0.5, half_minutes=0.25, height=128, width=224, rarity=0.85, dead_time=0.2
)  # fmt: skip


def _small_taad(crops: int, larger: int) -> TAADPlan:
    """A narrow detector for players of 14 to 19 pixels: many small crops first, then some larger ones.

    Under about 1,000 steps such a detector calls everything background, and a few large clips teach it nothing in the
    time in which many small ones do. Small crops are balanced; the larger ones have every player in them as an example,
    mostly of background, as a match has.
    """
    encoder = X3DSettings(
        width_factor=1.0, depth_factor=1.0, stages=2, level=4, pyramid_width=64, pooling="flatten"
    )  # fmt: skip
    rates = {"backbone": 2e-3, "head": 2e-3}
    first = Phase(
        ClipSettings(frames=16, crop=(32, 32), event_offset=(5, 10), n_negatives=0, sqrt_total=8 * crops,
                     background=4 * crops, fill_gaps=True),
        TrainSettings(epochs=4, steps_per_epoch=crops // 4, batch_size=12, accumulation=1, learning_rates=rates,
                      milestones=(4,), warmup_steps=50),
        background=0.3, foreground=0.7,
    )  # fmt: skip
    second = Phase(
        ClipSettings(frames=16, crop=(64, 96), event_offset=(5, 10), n_negatives=None, sqrt_total=larger,
                     background=2 * larger, fill_gaps=True),
        TrainSettings(epochs=3, steps_per_epoch=larger // 3, batch_size=2, accumulation=1,
                      learning_rates={name: rate / 2 for name, rate in rates.items()}, milestones=(3,),
                      warmup_steps=20),
        background=0.5, foreground=0.5,
    )  # fmt: skip
    inference = InferenceSettings(window=50, stride=50, fill_gaps=True, precision="bf16")
    return TAADPlan(TAADSettings(encoder, hidden=128), (first, second), inference=inference)


def _small_gnn(steps: int, validation_clips: int = 48) -> GNNPlan:
    """A graph network of half the width, on the kept features of the small detector; its clips are whole pictures."""
    return GNNPlan(
        model=GNNSettings(graph=64, hidden=128, recurrent=64),
        cached=True,
        clips=ClipSettings(n_negatives=None, per_class=600, background=200, background_random=1.0, fill_gaps=True),
        train=TrainSettings(epochs=5, steps_per_epoch=max(1, steps // 5), batch_size=4, accumulation=1,
                            learning_rates={"backbone": 1e-3, "head": 1e-3}, milestones=(5,), warmup_steps=20,
                            mixed_precision="bf16"),
        validation_clips=validation_clips,
        inference=InferenceSettings(window=50, stride=25, fill_gaps=True),
    )  # fmt: skip


def _small_dst(steps: int) -> DSTPlan:
    """A small sequence model: five frames a token, and frames chosen by pointing at the encoder's output.

    An hour of play is little for such a model. What makes it go far enough: a network of one player's inputs that all
    slots share, slots that are shuffled within the teams, a dense loss that teaches the encoder, and reading action
    and role where the pointer points. None is the paper's, and all rungs of the ablation have them alike.
    """
    return DSTPlan(
        model=DSTSettings(windows=WindowSettings(window=250, frames_per_token=5, pooled=True), width=128,
                          feedforward=256, encoder_layers=2, decoder_layers=2, heads=4, dropout=0.05, norm_first=True,
                          frame_head="pointer", read_pointed=True, player_channels=16, dense_head=True),
        train=TrainSettings(epochs=5, steps_per_epoch=max(1, steps // 5), batch_size=16, accumulation=1,
                            learning_rates={"head": 2e-3}, milestones=(4, 5), factor=0.3, warmup_steps=100,
                            clip_norm=1.0, mixed_precision="bf16"),
        windows_per_half=1000,
        shuffled=0.4,
        decode=DecodeSettings(stride=125),
    )  # fmt: skip


_RECOMPUTED = X3DSettings(checkpointing=True)  # extension 1 of the paper: batch 6 within 22 GB, the same results
_PAPER_TAAD = TAADPlan(
    TAADSettings(_RECOMPUTED),
    phases=(Phase(ClipSettings(), TrainSettings(epochs=20, frozen_epochs=2, mixed_precision="bf16")),),
)
PROFILES = {
    "smoke": Profile(
        "smoke", 200, _SMOKE_MATCHES, _small_taad(crops=8, larger=6), _small_gnn(10, 4), _small_dst(10), stacked=True
    ),
    "embedded": Profile(
        "embedded", 2000, _EMBEDDED_MATCHES, _small_taad(1400, 1200), _small_gnn(400), _small_dst(1500), stacked=True
    ),
    "full": Profile("full", 10000, None, _PAPER_TAAD, GNNPlan(GNNSettings(_RECOMPUTED)), DSTPlan()),
}


def get_profile(name: str) -> Profile:
    """A profile by name.

    Raises
    ------
    FootpassError
        If there is no such profile.
    """
    if name not in PROFILES:
        raise FootpassError(f"unknown profile {name!r}; expected one of {', '.join(PROFILES)}")
    return PROFILES[name]
