"""A table as CSV (numbers), Markdown and TeX (for people): text out."""

from __future__ import annotations

import pandas as pd

from emotalk_core.evaluation.tables.build import Cell, Table

DAGGER = "†"
TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "†": r"\textdagger{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "²": r"\textsuperscript{2}",
    "…": r"\ldots{}",
}


def as_frame(table: Table) -> pd.DataFrame:
    """Numbers: a value, a low and a high column for every metric and evaluator."""
    columns: dict[str, list] = {"method": [name for name, _, _ in table.rows]}
    for index, column in enumerate(table.columns):
        head = f"{column.key} [{column.evaluator}]"
        cells = [cells[index] for _, _, cells in table.rows]
        for place, part in enumerate(("", " low", " high")):
            columns[head + part] = [c.numbers[place] for c in cells]
        columns[head + " subjects"] = [c.n_subjects for c in cells]
    return pd.DataFrame(columns)


def _heads(table: Table) -> list[str]:
    """Column titles with arrow, and a dagger where a stand-in measured."""
    return [f"{c.title}{DAGGER if c.stand_in else ''} {c.arrow}".strip() for c in table.columns]


def _evaluators(table: Table) -> list[str]:
    """Who measured which columns."""
    names: dict[str, list[str]] = {}
    for column in table.columns:
        mark = DAGGER if column.stand_in else ""
        names.setdefault(f"{column.evaluator}{mark}", []).append(column.title)
    return [f"{who}: {', '.join(what)}" for who, what in names.items()]


def as_markdown(table: Table, subjects: str) -> str:
    """A pipe table with intervals; the best configured method is bold."""

    def text(cell: Cell) -> str:
        value = f"**{cell.value}**" if cell.best else cell.value
        return f"{value} <sub>{cell.interval}</sub>" if cell.interval else value

    lines = [f"## {table.title}", "", table.note, ""]
    lines += [f"| method | {' | '.join(_heads(table))} |", "|---" * (len(table.columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(text, cells))} |" for name, _, cells in table.rows]
    lines += ["", f"Subjects: {subjects}. Small: 95 % interval. Measured by: "]
    lines += [f"- {line}" for line in _evaluators(table)]
    if table.has_stand_ins:
        lines.append(f"\n{DAGGER} a packaged stand-in: never compare with printed numbers.")
    return "\n".join(lines) + "\n"


def tex_escape(text: str) -> str:
    """Text that TeX prints as it is."""
    return "".join(TEX.get(character, character) for character in text)


def as_tex(table: Table, subjects: str) -> str:
    """A booktabs table without intervals; the best configured method is bold."""

    def text(cell: Cell) -> str:
        value = tex_escape(cell.value)
        return rf"\textbf{{{value}}}" if cell.best else value

    rows = [
        " & ".join([tex_escape(name), *map(text, cells)]) + r" \\" for name, _, cells in table.rows
    ]
    head = " & ".join(["method", *map(tex_escape, _heads(table))]) + r" \\"
    caption = f"{table.title}. {table.note} Subjects: {subjects}."
    marks = f" {DAGGER} packaged stand-in." if table.has_stand_ins else ""
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{tex_escape(caption + marks)}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
