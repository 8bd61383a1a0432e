"""The lines that say what each notebook found, and the README's table made of them."""

from __future__ import annotations

from footpass_lib.book import runner, summary
from footpass_lib.study.place import open_study
from footpass_lib.study.results import read_records

NOTEBOOKS = [
    ("03_taad", "A detector", "How much?", "# A\n*Reading time: about 15 minutes.*"),
    ("04_x", "B", "Why?", ""),
]


def made(macro, micro=0.5):
    return {"metrics": {"macro_f1": macro, "micro_f1": micro}}


def test_every_notebook_has_a_line_where_all_its_records_are(project, clean_environment):
    clean_environment.chdir(project)
    records = read_records(open_study("embedded"))
    names = {notebook.name for notebook in runner.list_notebooks(project / "notebooks")}
    assert summary.findings(records).keys() == names


def test_lines_follow_the_records_and_are_missing_with_them():
    assert summary.findings({}) == {}
    assert summary.findings({"03_taad.taad.seed0": made(0.25)}) == {"03_taad": "Macro F1 0.250, Micro F1 0.500"}
    records = {"03_taad.taad.seed0": made(0.25)} | {f"06_taad_dst.base.seed{k}": made(0.3 + k / 10) for k in (0, 1)}
    assert summary.findings(records)["06_taad_dst"] == "Macro F1 0.350 (0.300 to 0.400), TAAD alone 0.250"
    gains = {"+ GNN logit fusion": [0.03, -0.001, 0.06], "+ ensemble": [0.02, 0.01, 0.03]}
    records["11_ablation.chain"] = {"metrics": {"gain": gains}}
    lines = summary.findings(records)
    assert lines["07_gnn_fusion"] == "Macro F1 +0.030 [-0.001, +0.060]" and "08_class_weighting" not in lines
    assert lines["11_ablation"] == "the intervals of 1 of 2 steps lie above zero: ensemble"
    kept = {"batch1_kept_mb": 8.0, "batch1_kept_mb_checkpointing": 4.0}
    kept |= {"batch16_kept_mb": 90.0, "batch16_kept_mb_checkpointing": 10.0}
    line = summary.findings({"04_gradient_checkpointing.kept_memory": {"metrics": kept}})["04_gradient_checkpointing"]
    assert "9 times less" in line


def test_the_table_goes_between_the_marks_of_the_readme(tmp_path):
    table = summary.contents_table(NOTEBOOKS, {"03_taad.taad": made(0.25)}, {"03_taad": 400.0})
    cells = (
        "[A detector](notebooks/03_taad.ipynb)",
        "How much?<br>*Macro F1 0.250, Micro F1 0.500*",
        "15 min",
        "7 min",
    )
    assert "| 03 | {} | {} | {} | {} |".format(*cells) in table
    assert "| 04 | [B](notebooks/04_x.ipynb) | Why? |  |  |" in table
    untimed = summary.contents_table(NOTEBOOKS, {}, {})
    assert "Run" not in untimed and "| 03 | [A detector](notebooks/03_taad.ipynb) | How much? | 15 min |\n" in untimed
    readme = tmp_path / "README.md"
    begin, end = summary.marks("notebooks")
    other = "".join(summary.marks("other"))
    readme.write_text(f"above\n{begin}old\n{end}below\n{other}")
    for _ in range(2):
        summary.fill_readme(readme, {"notebooks": table, "nowhere": "lost\n"})
        assert readme.read_text() == f"above\n{begin}{table}{end}below\n{other}"
    readme.write_text("no marks\n")
    summary.fill_readme(readme, {"notebooks": table})
    assert readme.read_text() == "no marks\n"


def test_the_committed_readme_says_what_the_committed_records_say(project, clean_environment):
    clean_environment.chdir(project)
    readme, tables = (project / "README.md").read_text(encoding="utf-8"), runner.readme_tables(open_study("embedded"))
    assert set(tables) == {"notebooks", "full profile"}
    for name, table in tables.items():
        begin, end = summary.marks(name)
        assert readme.split(begin)[1].split(end)[0] == table
