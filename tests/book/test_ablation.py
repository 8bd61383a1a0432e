import math

import numpy as np
import pytest

from footpass_lib.book import ablation, report
from footpass_lib.book.ablation import Row
from footpass_lib.events import bootstrap, metrics
from footpass_lib.schema import EVENT_CLASSES
from footpass_lib.study import paper

BASE, BETTER = Row("base", "06_x.base", "chain", 3, "", 0.4), Row("better", "07_x.better", "chain", 3, "base", 0.5)
N_BLOCKS = 6


def made(found, n_events=4, false=1, blocks=True, split="test", **details):
    """A record of ``found`` true positives a class and block, of ``n_events`` events."""
    counts = np.tile([found, false, n_events - found], (N_BLOCKS, len(EVENT_CLASSES), 1))
    rates = metrics.precision_recall_f1(counts.sum(axis=0))
    columns = ("tp", "fp", "fn")
    per_class = {
        name: {**dict(zip(columns, counts.sum(axis=0)[i].tolist(), strict=True)), "f1": float(rates[i, 2])}
        for i, name in enumerate(EVENT_CLASSES)
    }
    macro = float(rates[:, 2].mean())
    return {
        "metrics": {"macro_f1": macro, "micro_f1": macro, "per_class": per_class},
        "split": split, "synthetic": True, "details": {**({"blocks": counts.tolist()} if blocks else {}), **details},
    }  # fmt: skip


def f1(found):
    return 2 * found / (2 * found + 1 + (4 - found))


def rng():
    return np.random.default_rng(0)


def table(records, rows=(BASE, BETTER)):
    return ablation.ablation_table(rows, records, rng(), 200)


def test_what_is_missing_is_shown_missing():
    empty = table({})
    assert list(empty.index) == ["base", "better"] and (empty["seeds"] == 0).all() and empty["mean"].isna().all()
    text = report.readable(empty)
    assert (text[["matches", "seeds", "Macro F1", "Micro F1"]] == "missing").all(axis=None)
    assert text.loc["better", "gain [95 %]"] == "missing" and text.loc["better", "paper"] == "0.500"
    assert ablation.class_f1((BASE, BETTER), {}).isna().all(axis=None)
    half = table({"07_x.better.seed1": made(3)})
    assert report.readable(half).loc["better", "seeds"] == "1 of 3" and half.loc["better", "why"] == "missing"
    assert report.verdict(half.loc["better"]) == "missing"


def test_seeds_are_averaged():
    records = {f"06_x.base.seed{k}": made(found) for k, found in enumerate((1, 2, 3))}
    row = table(records).loc["base"]
    assert row["seeds"] == 3 and row["mean"] == pytest.approx(np.mean([f1(1), f1(2), f1(3)]))
    assert (row["low"], row["high"]) == (f1(1), f1(3)) and row["scores"] == {0: f1(1), 1: f1(2), 2: f1(3)}
    assert ablation.class_f1((BASE,), records).loc["base", "tackle"] == pytest.approx(row["mean"])
    assert report.readable(table(records)).loc["base", "matches"] == "synthetic test"


def test_only_records_of_the_row_are_its_runs():
    names = ("06_x.base", "06_x.base.seed2", "06_x.base-2.seed1", "06_x.baseline", "06_x.base.seed1.x", "16_x.base")
    assert list(ablation.runs_of(BASE, {name: {} for name in names})) == [0, 2]


def test_gains_are_paired_over_the_blocks_that_records_keep():
    rich, poor = made(3), made(1)
    for i in range(N_BLOCKS):  # blocks differ a lot, but the difference of the two systems does not
        rich["details"]["blocks"][i] = [[3 * i, i, i]] * 8
        poor["details"]["blocks"][i] = [[2 * i, i, 2 * i]] * 8
    gain, by_seed, why = ablation.paired_gain(BETTER, BASE, {"07_x.better": rich, "06_x.base.seed0": poor}, rng(), 300)
    expected = bootstrap.bootstrap_counts(
        np.array(rich["details"]["blocks"]), rng(), minus=np.array(poor["details"]["blocks"]), resamples=300
    )["macro_f1"]
    assert gain == expected and gain.low == pytest.approx(gain.high) and not why
    assert by_seed == {0: pytest.approx(f1(3) - f1(1))}


def test_the_estimate_is_the_mean_over_seeds():
    records = {f"06_x.base.seed{k}": made(found) for k, found in enumerate((1, 2, 1))}
    records |= {f"07_x.better.seed{k}": made(found) for k, found in enumerate((2, 2, 4))}
    row = table(records).loc["better"]
    each = [f1(2) - f1(1), 0, f1(4) - f1(1)]
    assert row["gain"] == pytest.approx(np.mean(each)) and row["gains"] == pytest.approx(dict(enumerate(each)))
    assert report.verdict(row).startswith("a gain")


def test_like_is_held_against_like():
    """A row of one seed is compared with that seed, not with the mean of three."""
    records = {f"06_x.base.seed{k}": made(found) for k, found in enumerate((2, 1, 1))}
    row = table(records | {"07_x.better": made(3)}).loc["better"]
    assert row["gain"] == pytest.approx(f1(3) - f1(2)) and row["gains"].keys() == {0}
    row = table(records | {"07_x.better.seed1": made(3)}).loc["better"]
    assert row["gain"] == pytest.approx(f1(3) - f1(1)) and row["gains"].keys() == {1}
    row = table(records | {"07_x.better.seed7": made(3)}).loc["better"]
    assert math.isnan(row["gain"]) and row["why"] == "no seed in common"


def test_without_blocks_there_is_a_gain_but_no_interval():
    records = {"06_x.base": made(1, blocks=False), "07_x.better": made(2)}
    row = table(records).loc["better"]
    assert row["gain"] == pytest.approx(f1(2) - f1(1)) and math.isnan(row["gain_low"])
    assert "no blocks kept" in report.readable(table(records)).loc["better", "gain [95 %]"]
    assert report.verdict(row) == "no interval"


def test_other_matches_are_not_compared():
    records = {"06_x.base": made(1), "07_x.better": made(2, n_events=5)}
    assert table(records).loc["better", "why"] == "not the same events"
    records["07_x.better"] = made(2)
    records["07_x.better"]["details"]["blocks"].reverse()
    first = records["07_x.better"]["details"]["blocks"]
    first[0], first[1] = [[0, 0, 0]] * 8, [[4, 2, 4]] * 8  # the same events in all, in other blocks
    assert table(records).loc["better", "why"] == "not the same events"


def test_the_rows_of_the_study():
    titles = [row.title for row in ablation.ROWS]
    assert len(set(titles)) == len(titles)
    assert all(row.before in titles[:i] for i, row in enumerate(ablation.ROWS) if row.before)
    chain = [row for row in ablation.ROWS if row.part == "chain"]
    assert [row.paper for row in chain] == list(paper.ABLATION.values())
    assert [row.before for row in chain[1:]] == [row.title for row in chain[:-1]]


def test_variants_have_rows_where_they_have_records(tmp_path):
    assert ablation.variant_rows({}) == ()
    records = {f"06_taad_dst.base.seed{k}": made(found) for k, found in enumerate((1, 2, 2))}
    records |= {f"07_gnn_fusion.control-taad-twice.seed{k}": made(found) for k, found in enumerate((1, 3, 2))}
    records |= {"07_gnn_fusion.control-shuffled.seed0": made(1), "10_ensemble.agreement-two.seed0": made(3)}
    records |= {"08_class_weighting.real-imbalance-weighted.seed0": made(3), "06_taad_dst.dense.seed0": made(2)}
    rows = ablation.variant_rows(records)
    assert [(row.title, row.record) for row in rows] == [
        ("from scratch, softmax over frames", "06_taad_dst.dense"),
        ("second source: shuffled", "07_gnn_fusion.control-shuffled"),
        ("second source: taad twice", "07_gnn_fusion.control-taad-twice"),
        ("real imbalance, weights", "08_class_weighting.real-imbalance-weighted"),
        ("two models by agreement (PAVE)", "10_ensemble.agreement-two"),
    ]
    whole = table(records, (*ablation.ROWS, *rows))
    twice = whole.loc["second source: taad twice"]
    assert twice["gains"] == pytest.approx({0: 0, 1: f1(3) - f1(2), 2: 0}) and twice["part"] == "variant"
    assert report.readable(whole).loc["real imbalance, weights", "gain [95 %]"] == "missing"  # nothing to compare with
    path = tmp_path / "ablation.md"
    report.write_ablation(path, whole, ablation.class_f1((*ablation.ROWS, *rows), records), "smoke")
    assert "## Beside the chain" in path.read_text() and "| second source: taad twice |" in path.read_text()


def test_the_variants_of_the_study():
    chain = {row.title for row in ablation.ROWS}
    titles = [row.title for row in ablation.VARIANTS]
    assert len({*titles, *chain}) == len(titles) + len(chain)
    for i, row in enumerate(ablation.VARIANTS):
        assert row.part == "variant" and row.before in chain | set(titles[:i]), row


def test_two_seeds_show_what_can_be_seen():
    records = {"06_x.base.seed0": made(2), "06_x.base.seed1": made(2), "06_x.base.seed2": made(4)}
    for i in range(N_BLOCKS):  # the two seeds find other events
        records["06_x.base.seed1"]["details"]["blocks"][i] = [[4 * (i % 2), 1, 4 - 4 * (i % 2)]] * 8
    records["07_x.better.seed0"] = made(3)
    luck = ablation.luck_of_seeds((BASE, BETTER), records, rng(), 300)
    counts = [np.array(records[f"06_x.base.seed{k}"]["details"]["blocks"]) for k in (0, 1)]
    expected = bootstrap.bootstrap_counts(counts[0], rng(), minus=counts[1], resamples=300)["macro_f1"]
    assert luck.index.tolist() == ["base"] and luck.loc["base", "blocks"] == N_BLOCKS
    assert luck.loc["base", "half-width"] == pytest.approx((expected.high - expected.low) / 2) and expected.high > 0
    records["06_x.base.seed1"] = made(2, n_events=5)
    assert ablation.luck_of_seeds((BASE, BETTER), records, rng(), 300).empty
    assert ablation.luck_of_seeds((BASE, BETTER), {}, rng(), 300).columns.tolist() == luck.columns.tolist()
