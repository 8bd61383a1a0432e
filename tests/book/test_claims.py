"""The papers' claims: the rules of their verdicts, and that verdicts follow from records."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from footpass_lib.book import claims, costs, verdicts
from footpass_lib.events.bootstrap import Interval
from footpass_lib.study.place import open_study
from footpass_lib.study.results import read_records

ABOVE, ACROSS, BELOW = Interval(0.02, 0.01, 0.03), Interval(0.02, -0.01, 0.05), Interval(-0.02, -0.03, -0.01)


@pytest.fixture(scope="module")
def evidence(project):
    study = replace(open_study("embedded"), reports=project / "reports")
    beside = {name: costs.read_record(project / "reports", f"{name}.json") for name in (claims.GPU, claims.EARLIER)}
    return read_records(study) | beside


def claim_of(notebook: str, words: str = "") -> claims.Claim:
    (claim,) = (c for c in claims.CLAIMS if c.notebook.startswith(notebook) and words in c.says)
    return claim


@pytest.mark.parametrize(
    ("intervals", "controls", "verdict"),
    [
        ([ABOVE], [], verdicts.SUPPORTED),
        ([ABOVE, ABOVE], [0.01], verdicts.SUPPORTED),
        ([ABOVE], [-0.01], verdicts.OPEN),
        ([ACROSS], [], verdicts.OPEN),
        ([ABOVE, ACROSS], [], verdicts.OPEN),
        ([ABOVE, BELOW], [], verdicts.OPEN),
        ([BELOW, BELOW], [], verdicts.CONTRADICTED),
        ([Interval(0.1, 0.0, 0.2)], [], verdicts.OPEN),
    ],
)
def test_a_gain_is_supported_only_if_every_comparison_says_so(intervals, controls, verdict):
    assert verdicts.gains(intervals, controls) == verdict


def test_numbers_are_held_to_the_digits_of_the_paper():
    assert verdicts.same_digits(0.4926, 0.493, ".3f") == verdicts.EXACTLY
    assert verdicts.same_digits(0.4924, 0.493, ".3f") == verdicts.CONTRADICTED
    assert verdicts.about(0.186, 0.2) == verdicts.REPRODUCED and verdicts.about(0.251, 0.2) == verdicts.CONTRADICTED
    assert [verdicts.fits(*run) for run in ((True, False), (True, True), (False, False))] == [
        verdicts.REPRODUCED, verdicts.OPEN, verdicts.CONTRADICTED,
    ]  # fmt: skip


def test_every_claim_is_judged_and_says_on_which_matches(evidence):
    for claim in claims.CLAIMS:
        verdict, found = claims.judged(claim, evidence)
        assert verdict in verdicts.MEANINGS, claim.says
        keys = [key for key in evidence if key in claim.needs or key.split(".seed")[0] in claim.needs]
        for synthetic in {evidence[key]["synthetic"] for key in keys if key != claims.GPU}:
            assert ("synthetic" if synthetic else "real") in found.lower(), claim.says
    assert {c.notebook for c in claims.CLAIMS} <= {key.split(".")[0] for key in evidence} - {claims.GPU, claims.EARLIER}


def test_other_records_give_other_verdicts(evidence):
    changed = deepcopy(dict(evidence))
    changed["02_metric.official_dst"]["metrics"]["macro_f1"] = 0.4934
    del changed[claims.EARLIER]
    changed["07_gnn_fusion.fused.seed0"]["details"]["gain"]["macro_f1"] = [0.0301, 0.0102, 0.0503]
    for row in changed[claims.GPU]["rows"]:
        row["fits"] = row["fits"] and row["limit_gb"] is None
    del changed["10_ensemble.ensemble-gated.seed0"]
    found = {words: claims.judged(claim_of(*words), changed) for words in (("02",), ("07",), ("04",), ("10",))}
    assert claims.judged(claim_of("07"), evidence)[1].endswith("earlier runs)")
    assert found["02",] == (verdicts.EXACTLY, "0.4934 (real matches)")
    assert found["07",] == (verdicts.SUPPORTED, "+0.030 [+0.010, +0.050] (synthetic)")
    assert found["04",][0] == verdicts.CONTRADICTED and found["10",] == (verdicts.NOT_RUN, "")
    changed["02_metric.official_dst"]["metrics"]["macro_f1"] = 0.4904
    assert claims.judged(claim_of("02"), changed)[0] == verdicts.CONTRADICTED


def test_a_higher_score_at_one_threshold_is_not_enough(evidence):
    claim, changed = claim_of("05"), deepcopy(dict(evidence))
    assert claims.judged(claim, changed)[0] == verdicts.OPEN
    for key in (k for k in changed if k.startswith("05_taad_gnn.taad-gnn")):
        changed[key]["details"]["own_threshold"]["macro_f1"] = 0.9
    assert claims.judged(claim, changed)[0] == verdicts.SUPPORTED


def test_counts_of_false_alarms_are_told_where_they_are_recorded(evidence):
    without = {key: record for key, record in evidence.items() if key != claims.SENTENCE}
    claim = claim_of("09", "false")
    assert claims.judged(claim, without) == (verdicts.UNTESTABLE, "")
    counts = {"fp": 35, "fp_removed": 4, "tp": 17, "tp_lost": 2}
    counted = {"metrics": {claims.LOOK: {claims.WAY: {"block": counts}}}}
    verdict, found = claims.judged(claim, without | {claims.SENTENCE: counted})
    assert verdict == verdicts.UNTESTABLE and "4 of 35 false blocks (2 of 17 true ones)" in found


def test_the_table_has_a_line_a_claim_and_a_link():
    rows = claims.claims_table({})
    assert len(rows) == len(claims.CLAIMS) + 2 and {len(row) for row in rows} == {4}
    assert rows[2][1] == f"**{verdicts.NOT_RUN}**" and rows[2][3] == "[02](notebooks/02_metric.ipynb)"
