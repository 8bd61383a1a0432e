"""What a profile consists of: one plan a model, as dataclasses. ``paper`` and ``profiles`` fill them in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from footpass_lib.models.dst import DSTSettings
from footpass_lib.models.gnn import GNNSettings, GraphSettings
from footpass_lib.models.taad import TAADSettings
from footpass_lib.samples.sampling import ClipSettings
from footpass_lib.samples.tubes import TubeSettings
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.detector import InferenceSettings
from footpass_lib.spotting.stitching import DecodeSettings
from footpass_lib.synthetic.production import SyntheticSizes
from footpass_lib.training.dst_loss import LossSettings
from footpass_lib.training.schedule import TrainSettings


@dataclass(frozen=True)
class Phase:
    """One stretch of a detector's training: clips, schedule, and class weights of the cross-entropy."""

    clips: ClipSettings | TubeSettings
    train: TrainSettings
    background: float
    foreground: float


@dataclass(frozen=True)
class TAADPlan:
    """How the detector is built, trained (in phases, each from where the one before ended) and run over matches.

    FootpassError if it would see frames at positions that it has not learned.
    """

    model: TAADSettings
    phases: tuple[Phase, ...]
    inference: InferenceSettings

    def __post_init__(self) -> None:
        longest, window = max(phase.clips.frames for phase in self.phases), self.inference.window
        if self.model.context == "transformer" and not window <= longest <= self.model.context_sizes.frames:
            found = f"windows of {window} frames, clips of {longest}, {self.model.context_sizes.frames} positions"
            raise FootpassError(f"TAAD plan: {found}; expected windows no longer than clips, and positions for these")


@dataclass(frozen=True)
class GNNPlan:
    """How the graph network is built, trained and run over matches.

    With ``GNNSettings`` it has a video encoder of its own, as the paper's (``TAADGNN``); with ``GraphSettings`` alone
    it stands on kept player features of the trained detector, frozen (``GraphNetwork``). All 26 slots are nodes, so
    ``n_negatives`` is None. ``gammas`` are (first epoch, power of the focal loss from then on). The loss is watched on
    ``validation_clips`` clips of the validation split.
    """

    model: GraphSettings
    clips: ClipSettings
    train: TrainSettings
    gammas: tuple[tuple[int, float], ...]
    validation_clips: int
    inference: InferenceSettings

    @property
    def cached(self) -> bool:
        """Whether the network stands on kept features."""
        return not isinstance(self.model, GNNSettings)


@dataclass(frozen=True)
class DSTPlan:
    """How the sequence model is built, trained and run over matches; FootpassError for sources other than those named.

    ``model.sources`` stays 1 here: the built model's (``network``) follows from the plan's.
    """

    model: DSTSettings
    sources: tuple[str, ...]  # whose logits the encoder reads: ("taad",) or ("taad", "gnn")
    train: TrainSettings
    windows_per_half: int  # random windows of each training half in an epoch
    shuffled: float  # share of them with the players of each team in random slots, see DSTWindows
    loss: LossSettings
    decode: DecodeSettings

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
    """One way to run the study: ``smoke`` (does it run?), ``embedded`` (a laptop, no download) or ``full`` (the paper).

    Stages and commands are the same in all of them. The networks are not: the small profiles' graph network stands on
    kept features, and their sequence model is a variant with a pointer; ``profiles`` says why.

    ``stacked`` says whether the sequence model learns from other matches than the detectors: these from the first half
    of the training matches, it from the second, on which logits are as good, or as bad, as on new matches. Where few
    matches are seen many times, detectors are far better on their own. The paper has enough for both.
    """

    name: str
    bootstrap_resamples: int  # behind every interval
    synthetic: SyntheticSizes | None  # matches that are made for this profile; None for the gated archive
    taad: TAADPlan
    gnn: GNNPlan
    dst: DSTPlan
    stacked: bool
    pretrained: bool = False  # whether training starts from the weights that come with the study


@dataclass(frozen=True)
class PretrainPlan:
    """From what the weights that come with the study are made: matches of a seed that no split uses, and three plans.

    The detector learns from matches that are filmed around their events only; the graph network, on its features, from
    whole ones; the sequence model from matches that are not filmed at all, with logits from a bank of what both
    detectors gave on further whole matches.
    """

    seed: int
    filmed: float  # minutes of play, and so are the next ones
    whole: float  # for the graph network
    banked: float  # whole as well, for the bank
    watched: float  # and for validation losses
    played: float
    taad: TAADPlan
    gnn: GNNPlan
    dst: DSTPlan
