"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from meta_gan.report.sections import sections, title
from meta_gan.report.tables import NULL, QUICK, Cell, Table, check_report, numeric


def _escape(text: str) -> str:
    # An underscore inside a word is plain text; everything else that Markdown or HTML would read is escaped.
    return re.sub(r"([\\`*\[\]<>|&~#]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))


def _cell(cell: Cell) -> str:
    code = cell.code if cell.code in ("", NULL) else f"`{re.sub('[`|]', '', cell.code)}`"
    return " ".join(part for part in (_escape(cell.text), _escape(cell.note), code) if part)


def _table(table: Table) -> str:
    lines = [[_escape(head) for head in table.head], ["---:" if right else "---" for right in numeric(table)]]
    lines += [[_cell(cell) for cell in row] for row in table.rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {_escape(table.title)}\n\n{text}" if table.title else text


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown.

    Args:
        report: the dictionary of `report.json`.

    Returns:
        The text: the protocol, a table of scores for each judge (rows, then controls; means with 95 % intervals),
        what the columns mean, the floor, the curve, models, judges and times. A dash stands for what was not measured.

    Raises:
        ValueError: if the report lacks a key, which is named.

    Example:
        `Path("report.md").write_text(markdown(json.loads(Path("report.json").read_text())), "utf-8")`
    """
    check_report(report)
    blocks = [f"# {_escape(title(report))}"]
    if report["protocol"]["form"] == "quick":
        blocks.append(f"**{QUICK}**")
    for section in sections(report):
        blocks.append(f"## {section.title}")
        if section.facts:
            facts = ((name, ", ".join(_cell(cell) for cell in cells)) for name, cells in section.facts)
            blocks.append("\n".join(f"- **{_escape(name)}**: {text}" for name, text in facts))
        blocks += [_table(table) for table in section.tables]
    return "\n\n".join(blocks) + "\n"
