"""The profiles: ``full`` is the paper's settings; ``smoke`` and ``embedded`` are told as differences from them."""

from __future__ import annotations

from dataclasses import replace

from footpass_lib.models.gnn import GraphSettings
from footpass_lib.models.pointer_dst import PointerDSTSettings
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.study.plans import DSTPlan, GNNPlan, Profile, TAADPlan
from footpass_lib.synthetic.production import SyntheticSizes

_EMBEDDED_MATCHES = SyntheticSizes(
    train=72, val=6, test=24, challenge=12, half_minutes=3, height=128, width=224, rarity=0.3, dead_time=0.2
)  # fmt: skip
_SMOKE_MATCHES = replace(_EMBEDDED_MATCHES, train=1, val=0.5, test=0.5, challenge=0.5, half_minutes=0.25)

_ENCODER = replace(
    paper.ENCODER, width_factor=1.0, depth_factor=1.0, stages=2, level=4, pyramid_width=64, pooling="flatten",
    checkpointing=False,
)  # fmt: skip


def _small_taad(crops: int, larger: int) -> TAADPlan:
    """A narrow detector for players of 14 to 19 pixels: many small crops first, then some larger ones.

    Under about 1,000 steps such a detector calls everything background, and a few large clips teach it nothing in the
    time in which many small ones do. Small crops are balanced; the larger ones have every player in them as an example,
    mostly of background, as a match has.
    """
    (whole,) = paper.TAAD.phases
    rate = 2e-3
    clips = replace(whole.clips, frames=16, event_offset=(5, 10), fill_gaps=True)
    train = replace(whole.train, accumulation=1, frozen_epochs=0, mixed_precision="no")
    first = replace(
        whole,
        clips=replace(clips, crop=(32, 32), n_negatives=0, sqrt_total=8 * crops, background=4 * crops),
        train=replace(train, epochs=4, steps_per_epoch=crops // 4, batch_size=12, milestones=(4,),
                      learning_rates={"backbone": rate, "head": rate}),
        background=0.3, foreground=0.7,
    )  # fmt: skip
    second = replace(
        whole,
        clips=replace(clips, crop=(64, 96), n_negatives=None, sqrt_total=larger, background=2 * larger),
        train=replace(train, epochs=3, steps_per_epoch=larger // 3, batch_size=2, milestones=(3,), warmup_steps=20,
                      learning_rates={"backbone": rate / 2, "head": rate / 2}),
        background=0.5, foreground=0.5,
    )  # fmt: skip
    return replace(
        paper.TAAD,
        model=replace(paper.TAAD.model, encoder=_ENCODER, hidden=128),
        phases=(first, second),
        inference=replace(paper.TAAD.inference, stride=50, fill_gaps=True, precision="bf16"),
    )


def _small_gnn(steps: int, validation_clips: int = 48) -> GNNPlan:
    """A graph network of half the width, on the kept features of the small detector; its clips are whole pictures."""
    return replace(
        paper.GNN,
        model=GraphSettings(graph=64, hidden=128, recurrent=64),
        clips=replace(paper.GNN.clips, fill_gaps=True),
        train=replace(paper.GNN.train, epochs=5, steps_per_epoch=max(1, steps // 5), batch_size=4, accumulation=1,
                      learning_rates={"backbone": 1e-3, "head": 1e-3}, milestones=(5,), warmup_steps=20),
        validation_clips=validation_clips,
        inference=replace(paper.GNN.inference, fill_gaps=True),
    )  # fmt: skip


def _small_dst(steps: int) -> DSTPlan:
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
        train=replace(paper.DST.train, epochs=5, steps_per_epoch=max(1, steps // 5), batch_size=16,
                      learning_rates={"head": 2e-3}, milestones=(4, 5), factor=0.3, warmup_steps=100, clip_norm=1.0,
                      num_workers=0),
        shuffled=0.4,
        decode=replace(paper.DST.decode, stride=125),
    )  # fmt: skip


PROFILES = {
    "smoke": Profile(
        "smoke", 200, _SMOKE_MATCHES, _small_taad(crops=8, larger=6), _small_gnn(10, 4), _small_dst(10), stacked=True
    ),
    "embedded": Profile(
        "embedded", 2000, _EMBEDDED_MATCHES, _small_taad(1400, 1200), _small_gnn(400), _small_dst(1500), stacked=True
    ),
    "full": Profile("full", 10000, None, paper.TAAD, paper.GNN, paper.DST, stacked=False),
}


def get_profile(name: str) -> Profile:
    """A profile by name; FootpassError if there is none of it."""
    if name not in PROFILES:
        raise FootpassError(f"unknown profile {name!r}; expected one of {', '.join(PROFILES)}")
    return PROFILES[name]
