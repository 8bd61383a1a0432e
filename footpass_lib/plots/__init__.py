"""Every figure of the study: a function draws one figure from tables and returns it."""

from footpass_lib.plots.ablation import (
    ablation_chain,
    class_heatmap,
    class_slopes,
    event_evidence,
    retrained_gains,
    transfer_slopes,
)
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
from footpass_lib.plots.postprocessing import agreement, calibration_gains, gate_balance, gate_curves
from footpass_lib.plots.rescoring import candidate_sources, kept_by_class, reliability
from footpass_lib.plots.scores import (
    f1_by_class,
    f1_over_seeds,
    paired_gains,
    precision_recall,
    protocol_example,
    threshold_curves,
)
from footpass_lib.plots.sequence import (
    class_weights,
    precision_and_recall,
    recall_by_box,
    window_picture,
    written_window,
)

__all__ = [
    "ablation_chain",
    "agreement",
    "as_photo",
    "bars",
    "before_and_after",
    "calibration_gains",
    "candidate_sources",
    "checkpointing_costs",
    "class_counts",
    "class_heatmap",
    "class_slopes",
    "class_weights",
    "compare_gaps",
    "compare_shares",
    "contact_sheet",
    "draw_boxes",
    "event_evidence",
    "f1_by_class",
    "f1_over_seeds",
    "film_strip",
    "gap_histogram",
    "gate_balance",
    "gate_curves",
    "graph_on_pitch",
    "kept_by_class",
    "lines",
    "paired_gains",
    "player_logits",
    "precision_and_recall",
    "precision_recall",
    "protocol_example",
    "radar",
    "recall_by_box",
    "reliability",
    "retrained_gains",
    "save",
    "slots_on_pitch",
    "style",
    "threshold_curves",
    "timeline",
    "training_curves",
    "transfer_slopes",
    "transition_heatmaps",
    "visibility",
    "window_picture",
    "written_window",
]
