"""The papers' claims, judged: each from records alone, by a rule that is the same for all of its kind.

Start at ``CLAIMS``; :func:`claims_table` is the README's first table. No verdict and no number is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from footpass_lib.book import costs, verdicts
from footpass_lib.book.ablation import ROWS, Row, runs_of
from footpass_lib.events.bootstrap import Interval, bootstrap_counts
from footpass_lib.study import paper

Records = Mapping[str, dict]  # by file name without .json: those of the notebooks, and the two beside them
GPU, EARLIER = "gpu", "retrainings"
REPLAY = "14_real_sequence"
SENTENCE = "09_postprocessing.false-alarms"  # by look, way and class: fp, fp_removed, tp, tp_lost
LOOK, WAY = "DST, TAAD (silence keeps)", "left-out"  # as the study's own gates are fitted
_RESAMPLES = 2000


@dataclass(frozen=True)
class Claim:
    """What a paper says, what was done about it, and how records judge it.

    ``judge`` gives the verdict and what was found, both from the records that it ``needs``; a name without a seed
    stands for those of all seeds. ``done`` is followed by what was found, and ends in a colon or a full stop.
    """

    says: str
    done: str
    notebook: str
    needs: tuple[str, ...]
    judge: Callable[[Records], tuple[str, str]]


def judged(claim: Claim, records: Records) -> tuple[str, str]:
    """Verdict and finding of a claim; ``verdicts.NOT_RUN`` and nothing if a record that it needs is missing."""
    missing = [name for name in claim.needs if name not in records and not _runs(records, name)]
    return (verdicts.NOT_RUN, "") if missing else claim.judge(records)


def claims_table(records: Records) -> list[list[str]]:
    """The README's table of claims: lines of cells, the heading first."""
    rows = [["The papers say", "Verdict", "What was done here, and what came out", ""], ["---"] * 4]
    for claim in CLAIMS:
        verdict, found = judged(claim, records)
        link = f"[{claim.notebook[:2]}](notebooks/{claim.notebook}.ipynb)"
        rows.append([claim.says, f"**{verdict}**", f"{claim.done} {found}".strip(), link])
    return rows


# Out of records


def _runs(records: Records, name: str) -> list[dict]:
    """Records of all seeds, ascending."""
    return list(runs_of(Row("", name), records).values())


def _recorded(records: Records, key: str, what: str = "gain", metric: str = "macro_f1") -> Interval:
    """The gain that a notebook has recorded with one of its results."""
    return Interval(*records[key]["details"][what][metric])


def _paired(mine: Sequence[dict], theirs: Sequence[dict], metric: str = "macro_f1") -> Interval:
    """Mean over runs of one system minus that of another, with the interval of the bootstrap over blocks."""
    counts, minus = (np.array([run["details"]["blocks"] for run in runs]) for runs in (mine, theirs))
    return bootstrap_counts(counts, np.random.default_rng(0), minus=minus, resamples=_RESAMPLES)[metric]


def _earlier(records: Records, step: str) -> str:
    """In how many runs of the whole study before this one a step of the ablation gained; nothing without a record."""
    found = [run["gain"][step][0] for run in records.get(EARLIER, {}).get("runs", ())]
    return f"; above zero in {sum(gain > 0 for gain in found)} of {len(found)} earlier runs" if found else ""


# Judges: verdict and finding


def _first_row(records: Records) -> tuple[str, str]:
    value = records["02_metric.official_dst"]["metrics"]["macro_f1"]
    return verdicts.same_digits(value, paper.ABLATION[_FIRST], ".3f"), f"{value:.4f} (real matches)"


def _imbalance(records: Records) -> tuple[str, str]:
    metrics = records["01_data_inspection.train_statistics"]["metrics"]
    value = metrics["imbalance_with_box"]
    words = f"{value:.1f} : 1 among events whose actor has a box, {metrics['imbalance']:.0f} : 1 among all (real)"
    return verdicts.same_digits(value, paper.IMBALANCE, ".0f"), words


def _without_box(records: Records) -> tuple[str, str]:
    value = records["01_data_inspection.train_statistics"]["metrics"]["without_box"]
    return verdicts.about(value, paper.WITHOUT_BOX), f"{value:.1%} (real)"


def _checkpointing(records: Records) -> tuple[str, str]:
    table = costs.gpu_training_table(records[GPU])
    table = table[(table["model"] == "TAAD") & (table["precision"] == "bf16")].set_index("checkpointing")
    (limit,) = (name for name in table if name.startswith("within"))
    with_it, without = (bool(table.loc[flag, limit]) for flag in (True, False))
    words = {True: "runs", False: "does not run"}
    found = f"{limit} it {words[with_it]}, without checkpointing it {words[without]}"
    return verdicts.fits(with_it, without), f"{found} ({table.loc[True, 'GB']:.1f} and {table.loc[False, 'GB']:.1f} GB)"


def _graph(records: Records) -> tuple[str, str]:
    """At the official threshold; as a control, both at thresholds of their own, in the metric that ranks."""
    ours = _runs(records, "05_taad_gnn.taad-gnn")
    seed = ours[0]["details"]["backbone_seed"]
    gain = _paired(ours, [records[f"03_taad.taad.seed{seed}"]], "micro_f1")
    mine = np.mean([run["details"]["own_threshold"]["macro_f1"] for run in ours])
    theirs = records[f"03_taad.taad-threshold.seed{seed}"]["metrics"]["macro_f1"]
    words = (
        f"Micro F1 {gain:+.3f} at threshold 0.15; Macro F1 {mine:.3f} against {theirs:.3f} at thresholds of their own"
    )
    return verdicts.gains([gain], [mine - theirs]), f"{words} (synthetic)"


def _sequence_model(records: Records) -> tuple[str, str]:
    """The official files on real games; on synthetic matches the detector has a threshold of its own."""
    official = ([records[f"02_metric.official_{name}"]] for name in ("dst", "taad"))
    real = _paired(*official, "micro_f1")
    made = _recorded(records, "06_taad_dst.base.seed0", "gain_over_taad", "micro_f1")
    words = f"Micro F1 {real:+.3f} on real matches; synthetic {made:+.3f}, TAAD at a threshold of its own"
    return verdicts.gains([real, made]), words


def _fusion(records: Records) -> tuple[str, str]:
    gain = _recorded(records, "07_gnn_fusion.fused.seed0")
    return verdicts.gains([gain]), f"{gain:+.3f} (synthetic{_earlier(records, _FUSED)})"


def _weights(records: Records) -> tuple[str, str]:
    gain, rare = (
        _recorded(records, f"08_class_weighting.{name}.seed0") for name in ("weighted", "real-imbalance-weighted")
    )
    real = _paired(*(_runs(records, f"{REPLAY}.{name}") for name in ("weighted", "base")))
    words = f"{gain:+.3f}; trained at the imbalance of real matches {rare:+.3f}"
    words = f"{words} (synthetic{_earlier(records, _WEIGHTED)}); on real matches, hearing the official TAAD alone"
    return verdicts.gains([gain, rare, real]), f"{words}, {real:+.3f} (notebook {REPLAY[:2]})"


def _postprocessing(records: Records) -> tuple[str, str]:
    names = ("official-gated-left-out", "postprocessed-validation.seed0", "official-gated-in-sample")
    real, made, tuned = (_recorded(records, f"09_postprocessing.{name}") for name in names)
    words = f"{real:+.3f} on real matches ({tuned.estimate:+.3f} if fitted on those scored); {made:+.3f} (synthetic"
    return verdicts.gains([real, made]), f"{words}{_earlier(records, _POST)})"


def _false_alarms(records: Records) -> tuple[str, str]:
    """The official file stands in for the paper's model, where notebook 09 has recorded what gates do to it."""
    if SENTENCE not in records:
        return verdicts.UNTESTABLE, ""
    shares = [
        f"{count['fp_removed']} of {count['fp']} false {name}s ({count['tp_lost']} of {count['tp']} true ones)"
        for name, count in records[SENTENCE]["metrics"][LOOK][WAY].items()
    ]
    words = "From the official file (real), gates that cost no true one on other matches take"
    return verdicts.UNTESTABLE, f"{words} {', '.join(shares)}"


def _ensemble(records: Records) -> tuple[str, str]:
    gain = _recorded(records, "10_ensemble.ensemble-gated.seed0")
    real = _paired(*(_runs(records, f"{REPLAY}.{name}") for name in ("ensemble", "gated")))
    words = f"{gain:+.3f} (synthetic, one seed{_earlier(records, _OURS_LAST)}); three seeds on real matches, hearing"
    return verdicts.gains([gain, real]), f"{words} the official TAAD alone, {real:+.3f} (notebook {REPLAY[:2]})"


def _whole(records: Records) -> tuple[str, str]:
    ends = ([records[name]] for name in ("10_ensemble.ensemble-gated.seed0", "06_taad_dst.base.seed0"))
    gain = _paired(*ends)
    return verdicts.gains([gain]), f"{gain:+.3f} (synthetic, one seed)"


def _tackles(records: Records) -> tuple[str, str]:
    here, there = (_runs(records, name) for name in ("08_class_weighting.weighted", "12_transfer.challenge-weighted"))
    tackles = [[run["metrics"]["per_class"]["tackle"] for run in runs] for runs in (here, there)]
    f1 = [np.mean([tackle["f1"] for tackle in of_runs]) for of_runs in tackles]
    n = tackles[1][0]["tp"] + tackles[1][0]["fn"]
    words = f"Synthetic matches of another kind, no gate at all: {f1[0]:.3f} to {f1[1]:.3f}, on {n} tackles"
    return verdicts.UNTESTABLE, words


def _challenge(records: Records) -> tuple[str, str]:
    """Nothing of this was measured here: the papers' numbers, side by side."""
    tuned = paper.ABLATION[_LAST] - paper.ABLATION[_FIRST]
    hidden = paper.CHALLENGE_MACRO_F1 - paper.OFFICIAL_CHALLENGE_MACRO_F1
    words = f"The official baseline has {paper.OFFICIAL_CHALLENGE_MACRO_F1:.3f} there: {tuned:+.3f} on the games that "
    return verdicts.UNTESTABLE, f"{words}were tuned on is {hidden:+.3f} on hidden ones"


_FIRST, _FUSED, _WEIGHTED, _POST, _LAST = paper.ABLATION
_OURS_LAST = next(row.title for row in ROWS if row.paper == paper.ABLATION[_LAST])  # without tuning of gates


def _step(title: str) -> str:
    """A step of the paper's ablation, as ``0.493 to 0.505``."""
    titles = list(paper.ABLATION)
    before = titles[titles.index(title) - 1]
    return f"{paper.ABLATION[before]:.3f} to {paper.ABLATION[title]:.3f}"


_MICRO, _GATED, _TACKLE = paper.PREPRINT_MICRO_F1, paper.GATED_FALSE_POSITIVES, paper.TACKLE_F1
CLAIMS = (
    Claim(
        f"TAAD+DST, the baseline, has Macro F1 {paper.ABLATION[_FIRST]:.3f}",
        "Its public prediction file, scored by a metric of our own:",
        "02_metric", ("02_metric.official_dst",), _first_row,
    ),
    Claim(
        f"{paper.IMBALANCE:.0f} passes for each tackle", "Counted in 48 training matches:",
        "01_data_inspection", ("01_data_inspection.train_statistics",), _imbalance,
    ),
    Claim(
        f"About {paper.WITHOUT_BOX:.0%} of events have no box", "Counted in the same matches:",
        "01_data_inspection", ("01_data_inspection.train_statistics",), _without_box,
    ),
    Claim(
        "Gradient checkpointing fits batch 6 into 22 GB", "One step of the paper's network on a GPU, random clips:",
        "04_gradient_checkpointing", (GPU,), _checkpointing,
    ),
    Claim(
        f"TAAD+GNN beats TAAD, Micro F1 {_MICRO['TAAD']:.3f} to {_MICRO['TAAD+GNN']:.3f}",
        "Both trained, three seeds:",
        "05_taad_gnn", ("05_taad_gnn.taad-gnn", "03_taad.taad", "03_taad.taad-threshold"), _graph,
    ),
    Claim(
        f"TAAD+DST beats TAAD, Micro F1 {_MICRO['TAAD']:.3f} to {_MICRO['TAAD+DST']:.3f}",
        "Their public files compared, and both trained:",
        "06_taad_dst", ("02_metric.official_dst", "02_metric.official_taad", "06_taad_dst.base.seed0"),
        _sequence_model,
    ),
    Claim(
        f"GNN logit fusion, Macro F1 {_step(_FUSED)}", "Trained with and without, three seeds:",
        "07_gnn_fusion", ("07_gnn_fusion.fused.seed0",), _fusion,
    ),
    Claim(
        f"Square-root class weights, {_step(_WEIGHTED)}", "Trained with and without, three seeds:",
        "08_class_weighting",
        ("08_class_weighting.weighted.seed0", "08_class_weighting.real-imbalance-weighted.seed0",
         f"{REPLAY}.weighted", f"{REPLAY}.base"), _weights,
    ),
    Claim(
        f"Post-processing, {_step(_POST)}", "Gates fitted on other matches than those scored:",
        "09_postprocessing",
        ("09_postprocessing.official-gated-left-out", "09_postprocessing.official-gated-in-sample",
         "09_postprocessing.postprocessed-validation.seed0"), _postprocessing,
    ),
    Claim(
        f"Its gates remove {_GATED['block']:.0%} of false blocks, {_GATED['tackle']:.0%} of false tackles, no true one",
        "The model and its logits are not public.", "09_postprocessing", (), _false_alarms,
    ),
    Claim(
        f"Ensemble, {_step(_LAST)}", "Two trained models merged, gates from validation:",
        "10_ensemble", ("10_ensemble.ensemble-gated.seed0", f"{REPLAY}.ensemble", f"{REPLAY}.gated"), _ensemble,
    ),
    Claim(
        f"All four, {paper.ABLATION[_FIRST]:.3f} to {paper.ABLATION[_LAST]:.3f}", "The ends of the chain compared:",
        "11_ablation", ("10_ensemble.ensemble-gated.seed0", "06_taad_dst.base.seed0"), _whole,
    ),
    Claim(
        f"On hidden games tackle F1 falls, {_TACKLE['validation']:.3f} to {_TACKLE['challenge']:.3f}",
        "Their labels are hidden.",
        "12_transfer", ("08_class_weighting.weighted", "12_transfer.challenge-weighted"), _tackles,
    ),
    Claim(
        f"Macro F1 {paper.CHALLENGE_MACRO_F1:.3f} on the hidden challenge games", "Their labels are hidden.",
        "11_ablation", (), _challenge,
    ),
)  # fmt: skip
