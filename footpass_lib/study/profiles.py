"""The profiles: ``full`` is the paper's settings; ``smoke`` and ``embedded`` are told as differences from them."""

from __future__ import annotations

from dataclasses import replace

from footpass_lib.models.gnn import GraphSettings
from footpass_lib.models.pointer_dst import PointerDSTSettings
from footpass_lib.samples.tubes import TubeSettings
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.study.plans import DSTPlan, GNNPlan, PretrainPlan, Profile, TAADPlan
from footpass_lib.synthetic.production import SyntheticSizes

_EMBEDDED_MATCHES = SyntheticSizes(
    train=24, val=12, test=72, challenge=24, half_minutes=3, height=128, width=224, rarity=0.3, dead_time=0.2
)  # fmt: skip
_SMOKE_MATCHES = replace(  # with all classes in half a minute
    _EMBEDDED_MATCHES, train=1, val=0.5, test=0.5, challenge=0.5, half_minutes=0.25, rarity=0.85
)

_ENCODER = replace(
    paper.ENCODER, width_factor=1.0, stages=2, level=4, pyramid_width=64, pooling="flatten",
    checkpointing=False,
)  # fmt: skip


def _small_taad(tubes: TubeSettings, epochs: int, rate: float = 2e-3) -> TAADPlan:
    """A narrow detector for players of 14 to 19 pixels, each seen in a tube, in training as later.

    Half of the clips have an event. The others are those of which the detector is least sure that nothing happens:
    without them it takes most running players for actors.
    """
    (whole,) = paper.TAAD.phases
    steps = epochs * (tubes.events + tubes.negatives) // 32
    falls = tuple(max(1, round(share * epochs)) for share in (0.6, 0.8, 0.9))
    phase = replace(
        whole,
        clips=tubes,
        train=replace(whole.train, epochs=epochs, accumulation=1, frozen_epochs=0, mixed_precision="no", batch_size=32,
                      milestones=falls, factor=0.33, warmup_steps=min(50, steps // 4),
                      learning_rates={"backbone": rate, "head": rate}),
        background=0.3, foreground=0.7,
    )  # fmt: skip
    return replace(
        paper.TAAD,
        model=replace(paper.TAAD.model, encoder=_ENCODER, hidden=128),
        phases=(phase,),
        inference=replace(
            paper.TAAD.inference, window=tubes.frames, stride=tubes.frames - 2 * tubes.margin, tube=tubes.side,
            fill_gaps=True, precision="bf16",
        ),
    )  # fmt: skip


def _small_gnn(steps: int, validation_clips: int = 48, rate: float = 1e-3) -> GNNPlan:
    """A graph network of half the width, on the kept features of the small detector; its clips are whole pictures."""
    return replace(
        paper.GNN,
        model=GraphSettings(graph=64, hidden=128, recurrent=64),
        clips=replace(paper.GNN.clips, fill_gaps=True),
        train=replace(paper.GNN.train, epochs=5, steps_per_epoch=max(1, steps // 5), batch_size=4, accumulation=1,
                      learning_rates={"backbone": rate, "head": rate}, milestones=(5,), warmup_steps=20),
        validation_clips=validation_clips,
        inference=replace(paper.GNN.inference, fill_gaps=True),
    )  # fmt: skip


def _small_dst(steps: int, epochs: int = 5, rate: float = 2e-3) -> DSTPlan:
    """A small sequence model: five frames a token, and frames chosen by pointing at the encoder's output.

    An hour of play is little for such a model. What makes it go far enough: a network of one player's inputs that all
    slots share, slots that are shuffled within the teams, a dense loss that teaches the encoder, and reading action
    and role where the pointer points. None is the paper's, and all rungs of the ablation have them alike.
    """
    windows = replace(paper.DST.model.windows, window=250, frames_per_token=5, pooled=True)
    return replace(
        paper.DST,
        model=PointerDSTSettings(windows=windows, width=128, feedforward=256, encoder_layers=2, decoder_layers=2,
                                 heads=4, dropout=0.05),
        train=replace(paper.DST.train, epochs=epochs, steps_per_epoch=max(1, steps // epochs), batch_size=16,
                      learning_rates={"head": rate}, milestones=(epochs - 1, epochs), factor=0.3,
                      warmup_steps=min(100, steps // 4), clip_norm=1.0, num_workers=0),
        shuffled=0.4,
        decode=replace(paper.DST.decode, stride=125),
    )  # fmt: skip


_SMOKE_TUBES = TubeSettings(frames=24, side=28, margin=4, event_offset=(8, 15), events=16, negatives=16, pool=2)
PROFILES = {
    "smoke": Profile(
        "smoke", 200, _SMOKE_MATCHES, _small_taad(_SMOKE_TUBES, 1), _small_gnn(10, 4), _small_dst(10), stacked=True,
        pretrained=True,
    ),
    "embedded": Profile(
        "embedded", 2000, _EMBEDDED_MATCHES,
        _small_taad(TubeSettings(events=500, negatives=500), 2, rate=5e-4),
        _small_gnn(200, rate=3e-4),
        _small_dst(300, rate=3e-4),
        stacked=True, pretrained=True,
    ),
    "full": Profile("full", 10000, None, paper.TAAD, paper.GNN, paper.DST, stacked=False),
}  # fmt: skip

PRETRAIN = {
    "smoke": PretrainPlan(
        seed=1000, filmed=2, whole=1, banked=3, watched=0.5, played=2,
        taad=_small_taad(_SMOKE_TUBES, 1), gnn=_small_gnn(10, 4), dst=_small_dst(10),
    ),
    "embedded": PretrainPlan(
        seed=1000, filmed=480, whole=60, banked=60, watched=12, played=600,
        taad=_small_taad(TubeSettings(events=2000, negatives=2000), 18), gnn=_small_gnn(1000), dst=_small_dst(6000, 6),
    ),
}  # fmt: skip


def get_profile(name: str) -> Profile:
    """A profile by name; FootpassError if there is none of it."""
    if name not in PROFILES:
        raise FootpassError(f"unknown profile {name!r}; expected one of {', '.join(PROFILES)}")
    return PROFILES[name]
