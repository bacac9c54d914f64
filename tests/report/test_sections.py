"""The sections of a report and their order."""

from __future__ import annotations

from meta_gan.report import Report
from meta_gan.report.sections import METRICS, NULL, QUICK, Cell, sections
from tests.report.reports import JUDGES, ROWS, STEPS, content, entry


def by_title(found):
    """`{title: section}` of a report's JSON object."""
    return {section.title: section for section in sections(Report.from_dict(found))}


def facts(section):
    """`{name: text of its cells}`."""
    return {name: ", ".join(" ".join(part for part in cell if part) for cell in cells) for name, cells in section.facts}


def test_the_order_of_sections():
    order = [
        "Protocol",
        "Scores",
        "What the columns mean",
        "Rows",
        "Floor",
        "Learning speed",
        "Models",
        "Judges",
        "Times",
    ]
    assert list(by_title(content())) == order


def test_sections_without_content_are_left_out():
    found = content(models=())
    assert {"Learning speed", "Models"} & set(by_title(found)) == set()
    assert {"Scores", "Judges", "Times"} <= set(by_title(found))


def test_every_table_is_rectangular():
    for section in by_title(content(models=("mine", "other"))).values():
        for table in section.tables:
            assert table.rows and {len(row) for row in table.rows} == {len(table.head)}, table.title


def test_protocol_by_hand():
    said = facts(by_title(content())["Protocol"])
    assert said["form"] == "full" and said["seed"] == "0" and said["note"] == "One draw of the support."
    assert said["settings"].startswith(
        "classes 659, support images a class 5, adaptation steps 20, draws of the support 1"
    )
    assert said["settings"].endswith("images of each kind in the pooled distances 4,613")
    assert (
        said["data"]
        == f"omniglot28.npz, images of 28 × 28 × 1, split test sha256 {'5' * 64}, allocation sha256 {'a' * 64}"
    )
    assert said["classification"] == "classes 100, draws 20, seeds 3, per class 100, ways 20"


def test_protocol_of_a_quick_form_without_classifiers():
    found = content(form="quick")
    found["protocol"] |= {"classification": None, "notes": None, "split_sha256": None, "data_sha256": "d" * 64}
    said = facts(by_title(found)["Protocol"])
    assert said["form"] == QUICK == "QUICK FORM: not a result to publish"
    assert said["classification"] == "not measured" and "note" not in said
    assert f"omniglot28.npz sha256 {'d' * 64}, " in said["data"] and f"split test sha256 {NULL}" in said["data"]


def test_scores_have_a_table_for_each_judge_of_rows_then_controls():
    tables = by_title(content())["Scores"].tables
    assert [table.title for table in tables] == [f"Judge {judge}" for judge in JUDGES]
    for table in tables:
        names = [(row[0].text, row[0].note) for row in table.rows]
        plain = [(row, "") for row in ROWS]
        assert names == [*plain, ("one image repeated", "(control)"), ("wrong class", "(control)")]


def test_scores_by_hand():
    table = by_title(content())["Scores"].tables[0]
    row = dict(zip(table.head, table.rows[2], strict=True))
    assert row["row"] == Cell("shift")
    assert row["energy distance ↓ 0"] == Cell(".22", "(.20–.24)")
    assert row["diversity → 1"] == Cell("1.01", "(.99–1.03)")
    assert row["classification gain ↑"] == Cell("+.067", "(+.047 to +.087)")
    assert row["Fréchet distance ↓"] == Cell("32.6")
    assert row["kernel distance ↓"] == Cell(".00034", "(.00032–.00036)")


def test_columns_are_in_order_and_unmeasured_metrics_are_named():
    found = content()
    section = by_title(found)["Scores"]
    measured = [name for name, value in found["rows"]["copy"]["proto-a"].items() if value]
    assert section.tables[0].head[1:] == [f"{METRICS[n].label} {METRICS[n].better}" for n in METRICS if n in measured]
    absent = "classification accuracy, prototypical accuracy, prototypical gain, precision, recall, density, coverage"
    assert facts(section)["not measured"] == absent


def test_a_metric_of_one_row_is_a_column_with_dashes_elsewhere():
    found = content()
    found["rows"]["mine"]["class-b"]["recall"] = entry(0.5)
    first, second = by_title(found)["Scores"].tables
    assert first.head == second.head and first.head[-1] == "recall ↑"
    assert {row[-1].text for row in first.rows} == {NULL}
    assert [row[-1].text for row in second.rows] == [".50" if row == "mine" else NULL for row in ROWS] + [NULL, NULL]


def test_rows_scored_on_fewer_classes_are_marked():
    found = content()
    found["row_info"]["mine"]["classes"] = 100
    found["row_info"]["wrong class"]["classes"] = 658
    names = {row[0].text: row[0].note for row in by_title(found)["Scores"].tables[0].rows}
    assert names["mine"] == "(100 classes)" and names["wrong class"] == "(control, 658 classes)"


def test_the_bar_is_named():
    found = content()
    found["rows"]["shift"]["proto-a"]["energy_distance"] = None
    said = facts(by_title(found)["Scores"])
    assert said["to beat augmentation under proto-a"] == "energy distance below that of copy, .46 (.44–.48)"
    assert said["to beat augmentation under class-b"] == "energy distance below that of shift, .22 (.20–.24)"
    without = facts(by_title(content(rows=("oracle", "mine")))["Scores"])
    assert not [name for name in without if name.startswith("to beat")]


def test_accuracies_without_generated_images():
    found = content()
    assert not [name for name in facts(by_title(found)["Scores"]) if name.startswith("without")]
    found["none"] = {"proto-a": {"prototypical_accuracy": entry(0.87), "classification_accuracy": None}, "class-b": {}}
    said = facts(by_title(found)["Scores"])
    assert said["without generated images under proto-a"] == "prototypical accuracy .87 (.85–.89)"
    assert "without generated images under class-b" not in said


def test_the_legend_explains_every_column():
    found = by_title(content())
    said = facts(found["What the columns mean"])
    assert list(said)[1:] == found["Scores"].tables[0].head[1:]
    assert all(0 < len(text) < 100 and "\n" not in text for text in said.values())


def test_rows_by_hand():
    (table,) = by_title(content())["Rows"].tables
    assert [cell.text for cell in table.rows[3]] == ["affine", "what affine is", "659", "100"]
    assert len(table.rows) == len(ROWS) + 2


def test_floor_by_hand():
    (table,) = by_title(content())["Floor"].tables
    assert [[cell.text for cell in row] for row in table.rows] == [[judge, "4,613", ".034", NULL] for judge in JUDGES]


def test_curve_by_hand():
    found = content(models=("mine", "other"))
    found["curve"]["other"]["class-b"]["energy_distance"]["50"] = None
    del found["curve"]["other"]["class-b"]["energy_distance"]["100"]
    tables = by_title(found)["Learning speed"].tables
    assert [table.title for table in tables] == [f"Judge {judge}" for judge in JUDGES]
    assert tables[1].head == ["score", "model", "0 steps", "1 step", *(f"{step} steps" for step in STEPS[2:])]
    # Models are grouped by score.
    assert [[cell.text for cell in row[:2]] for row in tables[1].rows[:3]] == [
        ["energy distance", "mine"],
        ["energy distance", "other"],
        ["recognisability", "mine"],
    ]
    assert tables[1].rows[0][2] == Cell("2.20", "(2.15–2.25)")
    assert [cell.text for cell in tables[1].rows[1][-2:]] == [NULL, NULL]


def test_models_by_hand():
    models, stability = by_title(content())["Models"].tables
    assert models.rows == [
        [
            *(Cell("mine"), Cell("reptile"), Cell("10"), Cell("1,234,567")),
            *(Cell(code="ab" * 32), Cell("steps 20,000; rate 0.001")),
        ]
    ]
    assert stability.head == ["model", "share failed", "× 0.1", "× 1"]
    failed = [Cell("0 diverged, 0 collapsed", "of 20"), Cell("1 diverged, 2 collapsed", "of 20")]
    assert stability.rows == [[Cell("mine"), Cell(".075"), *failed]]


def test_models_without_stability():
    found = content(models=("mine", "other"))
    found["models"]["mine"] |= {"stability": None, "weights_sha256": None}
    models, stability = by_title(found)["Models"].tables
    assert models.rows[0][4] == Cell(code=NULL)
    assert [row[0].text for row in stability.rows] == ["other"]
    found["models"]["other"]["stability"] = None
    assert len(by_title(found)["Models"].tables) == 1


def test_judges_by_hand():
    (table,) = by_title(content())["Judges"].tables
    described = ["conv4", "prototypical", "no", "813 classes of omniglot28.npz", "64", ".97"]
    assert [cell.text for cell in table.rows[1]] == ["class-b", *described, ""]
    assert table.rows[1][-1].code == "1f" * 32


def test_times_by_hand():
    section = by_title(content())["Times"]
    assert facts(section) == {"machine": "2 cores", "this call, without what it found made": "1,234 s"}
    rows, curve = section.tables
    assert [cell.text for cell in rows.rows[0]] == ["oracle", "12.3"]
    assert [cell.text for cell in curve.rows[0]] == ["mine", "2.00", "3.00", "7.00", "12.0", "22.0", "52.0", "102"]


def test_times_that_were_not_measured():
    found = content()
    found["times"] = {"machine": None, "total_seconds": None, "rows": {"copy": None}, "curve": {}}
    section = by_title(found)["Times"]
    assert facts(section) == {"machine": NULL, "this call, without what it found made": f"{NULL} s"}
    assert [[cell.text for cell in row] for table in section.tables for row in table.rows] == [["copy", NULL]]
