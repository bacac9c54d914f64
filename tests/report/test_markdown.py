"""A report as Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meta_gan.report import Report
from meta_gan.report.sections import NULL
from tests.report.reports import JUDGES, ROWS, content, quick_content, report

GOLDEN = Path(__file__).parent / "golden"


def markdown(found):
    """The Markdown of a report, or of its JSON object."""
    return (found if isinstance(found, Report) else Report.from_dict(found)).to_markdown()


@pytest.mark.parametrize(("name", "found"), [("report", content()), ("quick", quick_content())])
def test_markdown_equals_the_golden_file(name, found):
    assert markdown(found) == (GOLDEN / f"{name}.md").read_text("utf-8")


def table_after(text, heading):
    """The first table after a heading, as rows of stripped cells without the delimiter row."""
    lines = text[text.index(f"{heading}\n") :].split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    stop = next(place for place in range(start, len(lines)) if not lines[place].startswith("|"))
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[start:stop]]
    assert set("".join(rows[1])) <= set("-:")
    return [rows[0], *rows[2:]]


def test_title_and_protocol_come_first():
    lines = markdown(report()).split("\n")
    assert lines[:4] == ["# few-shot-28, task A: omniglot28.npz", "", "## Protocol", ""]
    assert lines[4] == "- **form**: full"
    assert f"split test sha256 `{'5' * 64}`" in lines[5]


def test_scores_by_hand():
    rows = table_after(markdown(report()), "### Judge class-b")
    assert rows[0][:3] == ["row", "energy distance ↓ 0", "recognisability ↑"]
    assert [row[0] for row in rows[1:]] == [*ROWS, "one image repeated (control)", "wrong class (control)"]
    assert rows[1][:3] == ["oracle", "-.005 (-.025 to .015)", ".91 (.89–.93)"]
    assert rows[3][1] == ".22 (.20–.24)"
    assert rows[-1][1] == "8.26 (8.24–8.28)"


def test_numbers_are_flush_right_and_words_left():
    text = markdown(report())
    rule = text[text.index("### Judge proto-a") :].split("\n")[3]
    assert rule == "| --- " + "| ---: " * 8 + "|"
    rule = text[text.index("## Rows") :].split("\n")[3]
    assert rule == "| --- | --- | ---: | ---: |"


def test_every_table_is_rectangular():
    text = markdown(report(models=("a|b", "c")))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        counts = {len(re.split(r"(?<!\\)\|", line)) for line in block.strip().split("\n")}
        assert len(counts) == 1


def test_nulls_are_dashes():
    found = content()
    found["rows"]["copy"]["proto-a"]["energy_distance"] = None
    found["rows"]["shift"]["proto-a"]["energy_distance"] = {"mean": 0.3, "low": None, "high": None}
    rows = table_after(markdown(found), "### Judge proto-a")
    assert rows[2][:2] == ["copy", NULL] and rows[3][:2] == ["shift", ".30"]
    assert "None" not in markdown(found) and "nan" not in markdown(found)
    floor = table_after(markdown(found), "## Floor")
    assert floor[1] == ["proto-a", "4,613", ".034", NULL]


@pytest.mark.parametrize(("form", "count"), [("quick", 2), ("full", 0)])
def test_the_quick_form_is_announced(form, count):
    text = markdown(report(form=form))
    # Once under the title and once among the facts.
    assert text.count("QUICK FORM: not a result to publish") == count
    assert ("\n\n**QUICK FORM: not a result to publish**\n\n## Protocol" in text) == bool(count)


def test_checksums_are_whole_and_literal():
    text = markdown(report())
    assert f"| `{'ab' * 32}` |" in text
    assert all(f"| `{place}f" in text and f"{place}f" * 32 in text for place in range(len(JUDGES)))


def test_names_are_escaped():
    name = "<b>|*x*`y`_z_ a_b [l](u) &amp; ~~\nnew"
    text = markdown(report(rows=("oracle", name), models=(name,)))
    escaped = r"\<b\>\|\*x\*\`y\`\_z\_ a_b \[l\](u) \&amp; \~\~ new"
    assert f"| {escaped} | " in text
    assert name not in text and "<b>" not in text.replace(r"\<b\>", "")


def test_names_in_any_script_are_kept():
    text = markdown(report(rows=("oracle", "日本語", "العربية")))
    assert "| 日本語 | " in text and "| العربية | " in text


def test_each_judge_has_a_table_of_scores_and_of_the_curve():
    text = markdown(report(judges=("one",)))
    assert text.count("### Judge one\n") == 2 and "class-b" not in text
    steps = [row[:3] for row in table_after(text[text.index("## Learning speed") :], "### Judge one")[:2]]
    assert steps == [["score", "model", "0 steps"], ["energy distance", "mine", "2.20 (2.15–2.25)"]]


def test_same_report_same_text():
    assert markdown(report()) == markdown(report())
    assert markdown(report()).endswith("|\n") and "\n\n\n" not in markdown(report())


def test_a_missing_key_is_named():
    lacking = content()
    del lacking["protocol"]["split_sha256"]
    with pytest.raises(ValueError, match=r"'report.protocol' must have the key 'split_sha256'"):
        markdown(lacking)
