"""Numbers that others published, and official reference values, so that notebooks can print them beside their own.

Sources: FOOTPASS preprint (Ochin, Chekroun, Stanciulescu, Manitsaris, 2025, arXiv 2511.16183) and its official
repository; the reproduced paper (Rawat, 2026, arXiv 2606.09679).
"""

from __future__ import annotations

# The reproduced paper's ablation, Macro F1 on the validation games 18, 24 and 47 (which it calls its test set).
ABLATION = {
    "TAAD+DST (official)": 0.493,
    "+ GNN logit fusion": 0.505,
    "+ square-root class weights": 0.521,
    "+ post-processing": 0.535,
    "+ ensemble and gate tuning": 0.548,
}
CHALLENGE_MACRO_F1 = 0.446
OFFICIAL_CHALLENGE_MACRO_F1 = 0.486
TACKLE_F1 = {"validation": 0.256, "challenge": 0.056}
IMBALANCE = 213.0  # pass : tackle among training events whose actor has a box

# Macro and Micro F1 that the official evaluator gives for the official prediction files on their three games.
OFFICIAL_GAMES = (18, 24, 47)
OFFICIAL_F1 = {"DST": (0.4926, 0.7186), "TAAD": (0.2445, 0.4100)}
