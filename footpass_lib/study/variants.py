"""Plans of what the paper does not have, or has otherwise: each is a profile's plan, less what its name says.

The sizes follow the plan's: from the paper's they are those of PAVE (arXiv 2606.28389).
"""

from __future__ import annotations

from dataclasses import replace

from footpass_lib.models.context import ContextSettings
from footpass_lib.models.dst_settings import PlayerSizes
from footpass_lib.study.plans import DSTPlan, GNNPlan, TAADPlan

# What a node of the graph network knows: the official code's team, position and velocity, or more, as the paper lists.
NODES = ("official five", "+ role", "+ role and jersey")
_HEAD_WIDTH, _LEAST_WIDTH = 32, 32  # of an attention head; of a player in the sequence model


def context_plan(plan: TAADPlan, context: str) -> TAADPlan:
    """The detector with another head, ``dilated`` or ``transformer``; windows of a match are no longer than its clips.

    From the paper's plan: width 256, 4 layers, 8 heads, feed-forward 1024, 50 positions. A small one is narrower.
    """
    frames, hidden = max(phase.clips.frames for phase in plan.phases), plan.model.hidden
    sizes = ContextSettings(
        width=hidden // 2, heads=max(1, hidden // 2 // _HEAD_WIDTH), feedforward=2 * hidden, frames=frames
    )
    way = plan.inference
    window = min(way.window, frames)
    return replace(
        plan,
        model=replace(plan.model, context=context, context_sizes=sizes),
        inference=replace(way, window=window, stride=min(way.stride, window)),
    )


def attention_plan(plan: DSTPlan, order: str) -> DSTPlan:
    """The sequence model with attention of players in an order, ``spatial-first`` as PAVE's best.

    From the paper's plan: 64 numbers a player, 4 heads, a layer of each kind.
    """
    sizes = PlayerSizes(width=max(_LEAST_WIDTH, plan.model.width // 8))
    return replace(plan, model=replace(plan.model, player_attention=order, player_sizes=sizes))


def node_plans(plan: GNNPlan) -> dict[str, GNNPlan]:
    """The graph network with nodes that know ever more: :data:`NODES` -> plan."""
    known = zip(NODES, ((False, False), (True, False), (True, True)), strict=True)
    return {
        title: replace(plan, model=replace(plan.model, role=role, jersey=jersey)) for title, (role, jersey) in known
    }


def official_rates(plan: TAADPlan | GNNPlan) -> TAADPlan | GNNPlan:
    """The plan with the warm-up of the official code, which stops too early: see ``schedule.rate_factor``."""
    if isinstance(plan, GNNPlan):
        return replace(plan, train=replace(plan.train, official_warmup=True))
    phases = (replace(phase, train=replace(phase.train, official_warmup=True)) for phase in plan.phases)
    return replace(plan, phases=tuple(phases))
