"""Every figure of the study: a function draws one figure from tables and returns it."""

from footpass_lib.plots.base import as_photo, bars, lines, save, style
from footpass_lib.plots.context import before_and_after, graph_on_pitch
from footpass_lib.plots.matches import (
    class_counts,
    compare_gaps,
    compare_shares,
    contact_sheet,
    draw_boxes,
    gap_histogram,
    radar,
    slots_on_pitch,
    timeline,
    transition_heatmaps,
    visibility,
)
from footpass_lib.plots.models import checkpointing_costs, film_strip, player_logits, training_curves
from footpass_lib.plots.rescoring import candidate_sources, kept_by_class, paired_gains, reliability
from footpass_lib.plots.scores import f1_by_class, f1_over_seeds, precision_recall, protocol_example, threshold_curves

__all__ = [
    "as_photo",
    "bars",
    "before_and_after",
    "candidate_sources",
    "checkpointing_costs",
    "class_counts",
    "compare_gaps",
    "compare_shares",
    "contact_sheet",
    "draw_boxes",
    "f1_by_class",
    "f1_over_seeds",
    "film_strip",
    "gap_histogram",
    "graph_on_pitch",
    "kept_by_class",
    "lines",
    "paired_gains",
    "player_logits",
    "precision_recall",
    "protocol_example",
    "radar",
    "reliability",
    "save",
    "slots_on_pitch",
    "style",
    "threshold_curves",
    "timeline",
    "training_curves",
    "transition_heatmaps",
    "visibility",
]
