"""Every figure of the study: a function draws one figure from tables and returns it.

Start with ``base`` (colours, style, what figures share); the other modules are by subject. Imports ``events``, ``data``
and ``samples``, whose tables and arrays it draws, and no models.
"""
# ruff: noqa: F401, I001 (names for notebooks, a few a line)

from footpass_lib.plots.ablation import ablation_chain, class_heatmap, class_slopes, event_evidence
from footpass_lib.plots.ablation import retrained_gains, transfer_slopes
from footpass_lib.plots.base import as_photo, bars, lines, save, shown, style
from footpass_lib.plots.diagrams import attention_masks, data_flow, edge_conv_by_hand, kept_activations
from footpass_lib.plots.diagrams import taad_path, token_widths
from footpass_lib.plots.matches import class_counts, compare_gaps, compare_shares, contact_sheet, gap_histogram
from footpass_lib.plots.matches import graph_on_pitch, radar, slots_on_pitch, timeline, transition_heatmaps, visibility
from footpass_lib.plots.models import before_and_after, checkpointing_costs, film_strip, player_logits
from footpass_lib.plots.models import training_curves, tube_rows
from footpass_lib.plots.postprocessing import agreement, calibration_gains, gate_balance, gate_curves
from footpass_lib.plots.postprocessing import candidate_sources, kept_by_class, reliability
from footpass_lib.plots.replay import replay_lags, replay_rates, replay_scores, sequence_rows
from footpass_lib.plots.scores import f1_by_class, f1_over_seeds, paired_gains, precision_recall
from footpass_lib.plots.scores import protocol_example, threshold_curves
from footpass_lib.plots.sequence import precision_and_recall, recall_by_box, weights_by_class
from footpass_lib.plots.sequence import window_picture, written_window
