"""What the papers say -> where it stands in the code, what tests it, where a notebook shows it.

``python tests/sentences.py`` writes docs/paper_to_code.md anew; a test checks that it is up to date. A place in the code
is a symbol (``models.taad:TAAD``) or the first line with a text (``study/rungs.py:Extension 2``); a test is a file and a
function; a notebook is its number and a text of one of its code cells. What is not found is an error.
"""

import ast
import json
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "paper_to_code.md"
HEAD = """# From the papers' sentences to the code

Made by `python tests/sentences.py`; a test keeps it up to date. Sections are those of `footpass_lib/study/paper.py`, where every number of the papers stands.
The four extensions are also marked in the code: `grep -rn "# Extension 2" footpass_lib`.
"""
# Part, sentence in our own words, place in the code, test, notebook
ROWS = [
    ("TAAD", "X3D, a pyramid up to stride 8, players pooled by RoIAlign, a temporal head: class logits a player and frame",
     "models.taad:TAAD", "models/test_taad.py::test_defaults_are_the_official_detector", "03 shapes.layer_shapes"),
    ("TAAD", "Boxes are a factor of 1.125 larger, by the official rule; those under 2 pixels are masked",
     "samples.pixels:enlarge", "samples/test_clips.py::test_enlargement_is_the_official_rule_in_plain_python",
     "03 taad.training_clips("),
    ("TAAD", "An epoch draws up to 500 clips a class, the event 15 to 35 frames into the clip, with up to 4 other players",
     "samples.sampling:ClipSettings",
     "samples/test_clips.py::test_starts_put_the_anchor_where_the_settings_say_and_stay_in_the_half",
     "03 taad.training_clips("),
    ("TAAD", "Labels reach one frame to either side",
     "samples.pixels:dilate", "samples/test_clips.py::test_dilation_against_a_slow_reference", "03 clip["),
    ("TAAD", "Cross-entropy with .05 for background and .95 for events, masked, as a mean over everything",
     "training.losses:taad_loss", "training/test_losses.py::test_taad_loss_against_a_loop", "04 taad_loss("),
    ("TAAD", "AdamW with one rate for the backbone and one for the head, warm-up, steps down, a backbone frozen at first",
     "training.fit:train_epochs", "training/test_fit.py::test_frozen_epochs_leave_the_backbone_and_its_statistics",
     "03 train_epochs"),
    ("TAAD", "Windows of 50 frames, a second pass shifted by 25, the mean of both",
     "spotting.detector:half_logits",
     "spotting/test_detector.py::test_logits_are_the_mean_over_windows_and_background_without_a_box", "03 half_logits("),
    ("TAAD", "The most probable class of a player and frame, the best within 25 frames, by jersey",
     "spotting.peaks:decode_detections", "postprocessing/test_corrections.py::test_decoding_against_a_slow_reference", "03 peaks.decode_split("),
    ("TAAD+GNN", "Players as nodes, an edge from each of the six nearest, by mean position over the clip",
     "models.graph:player_graph", "models/test_gnn.py::test_every_present_player_hears_from_exactly_six_others",
     "05 player_graph("),
    ("TAAD+GNN", "EdgeConv three times, temporal convolutions between, a head with a bidirectional GRU",
     "models.gnn:GraphNetwork", "models/test_gnn.py::test_defaults_are_the_official_sizes", "05 named_children"),
    ("TAAD+GNN", "Focal loss times 100, its power 1.0 in the first two epochs and 1.25 after",
     "training.losses:gnn_loss", "training/test_losses.py::test_gnn_loss_against_a_loop", "05 gnn.train_gnns("),
    ("TAAD+DST", "An encoder token a frame: 26 players' position and velocity, and the detector's logits, 364 numbers",
     "samples.tokens:dst_half", "samples/test_windows.py::test_encoder_tokens_are_the_papers", "06 shape.token_width("),
    ("TAAD+DST", "A decoder token an event: action, slot and frame, from SOS to EOS",
     "samples.windows:cut_window", "samples/test_windows.py::test_decoder_tokens_by_hand", "06 window.tokens"),
    ("TAAD+DST", "An encoder-decoder transformer with heads for action and role, and for the frame",
     "models.dst:DST", "models/test_dst.py::test_forward_is_torchs_transformer_on_one_hots", "06 against_paper("),
    ("TAAD+DST", "Cross-entropies of action, role and frame, with label smoothing of .05, over the tokens",
     "training.dst_loss:DSTLoss", "models/test_dst.py::test_loss_against_a_slow_reference",
     "06 rungs.train_side_by_side("),
    ("TAAD+DST", "Greedy decoding, window by window",
     "spotting.decoding:greedy_decode", "models/test_dst.py::test_cached_decoding_is_the_slow_one", "06 greedy_decode("),
    ("Extension 1", "Gradient checkpointing: what a block computes is computed again for the backward pass",
     "models/checkpointing.py:# Extension 1", "models/test_taad.py::test_checkpointing_changes_no_bit_of_a_step",
     "04 checkpointing=flag"),
    ("Extension 2", "GNN logits beside TAAD's in an encoder token: 598 numbers",
     "samples/tokens.py:# Extension 2", "study/test_paper.py::test_section_8_the_four_extensions",
     "07 shape.token_width("),
    ("Extension 3", "The action's cross-entropy weighed by one over the square root of a class's events",
     "study/rungs.py:# Extension 3", "training/test_losses.py::test_square_root_weights_of_the_training_set",
     "08 class_weights(counts"),
    ("Extension 4", "Gate: an event stays if the detector's evidence near it passes its class's threshold",
     "postprocessing.corrections:gate", "postprocessing/test_corrections.py::test_gate_by_hand", "09 fit_gate("),
    ("Extension 4", "Refinement: the frame moves to the detector's peak nearby",
     "postprocessing.corrections:refine_frames", "postprocessing/test_corrections.py::test_refining_frames_by_hand", "09 refine_frames("),
    ("Extension 4", "Re-assignment: a team-mate with more evidence takes the event over",
     "postprocessing.corrections:reassign_jerseys", "postprocessing/test_corrections.py::test_reassigning_jerseys_by_hand",
     "09 reassign_jerseys("),
    ("Extension 4", "Non-maximum suppression, of one player's events of one class",
     "postprocessing.corrections:nms_step", "postprocessing/test_corrections.py::test_nms_is_the_greedy_definition_and_idempotent", "09 nms_step("),
    ("Extension 4", "Ensemble of two models, without the second one's tackles",
     "postprocessing.ensemble:merge", "postprocessing/test_ensemble.py::test_merge_is_the_greedy_definition", "10 merge("),
    ("Evaluation", "By falling score each prediction from .15 on takes the nearest free event of its player within 12 frames",
     "events.metrics:match_events", "events/test_metrics.py::test_matches_the_reference_on_random_events", "02 metrics.match_events("),
    ("Evaluation", "Macro F1 is the mean over the eight classes",
     "events.metrics:score", "events/test_metrics.py::test_official_f1_on_all_three_games", "02 metrics.score("),
]  # fmt: skip


def place_in_code(place: str) -> str:
    """File and line of a symbol or of a text, as a link."""
    where, _, what = place.partition(":")
    if where.endswith(".py"):
        path = Path("footpass_lib") / where
        found = [n for n, line in enumerate((PROJECT / path).read_text().splitlines(), 1) if what in line]
    else:
        path = Path("footpass_lib", *where.split(".")).with_suffix(".py")
        tree = ast.parse((PROJECT / path).read_text())
        found = [node.lineno for node in tree.body if getattr(node, "name", None) == what]
    if not found:
        raise ValueError(f"{path}: there is no {what}")
    return f"[{path.relative_to('footpass_lib')}:{found[0]}](../{path}#L{found[0]})"


def place_of_test(name: str) -> str:
    """A test's function, as a link to its line."""
    where, _, function = name.partition("::")
    path = Path("tests") / where
    tree = ast.parse((PROJECT / path).read_text())
    found = [node.lineno for node in ast.walk(tree) if getattr(node, "name", None) == function]
    if not found:
        raise ValueError(f"{path}: there is no {function}")
    return f"[{function.removeprefix('test_').replace('_', ' ')}](../{path}#L{found[0]})"


def place_in_notebook(text: str) -> str:
    """A notebook, and which of its code cells holds a text."""
    number, _, wanted = text.partition(" ")
    (path,) = (PROJECT / "notebooks").glob(f"{number}_*.ipynb")
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    found = [n for n, cell in enumerate(cells, 1) if wanted in "".join(cell["source"])]
    if not found:
        raise ValueError(f"{path.name}: no cell holds {wanted!r}")
    return f"[{number}, In [{found[0]}]](../notebooks/{path.name})"


def page() -> str:
    """The whole page."""
    lines = [HEAD, "|  | The papers say | Code | Test | Notebook |", "| --- | --- | --- | --- | --- |"]
    for part, sentence, code, test, notebook in ROWS:
        cells = part, sentence, place_in_code(code), place_of_test(test), place_in_notebook(notebook)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
