"""Results as Markdown: a table a benchmark and number of threads, and one table of all for the README."""

from collections.abc import Mapping
from statistics import geometric_mean
from typing import Any

from benchmarks.harness import duration

Result = Mapping[str, Any]


def markdown(result: Result) -> str:
    """One benchmark in full."""
    parts = [f"# {result['title']}", machine_line(result)]
    if result["toy"]:
        parts.append("**Toy sizes: these figures mean nothing.**")
    for table in result["tables"]:
        parts.append(f"## {table['threads']} thread{'s' * (table['threads'] > 1)}")
        parts.append(full_table(result, table))
        parts += [f"{row['label']}:\n\n{notes_table(row)}" for row in table["rows"] if many_notes(row)]
        parts += [f"Geometric mean of the ratios: {text}" for text in [mean_line(table)] if text]
    parts += [f"{side}: run with {', '.join(f'{name}={value}' for name, value in variables.items())}."
              for side, variables in result["environment"].items() if variables]
    parts += [f"{side}: skipped, {why}." for side, why in result["skipped"].items()]
    parts.append(f"Ratio: the peer's time over ours in the same round; median of {result['rounds']} rounds "
                 "(least..most). First call: includes compiling, or loading what was compiled before.")
    return "\n\n".join(parts) + "\n"


def machine_line(result: Result) -> str:
    """What it was measured on, in one line."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
            f"Python {machine['python']}; {versions}.")


def full_table(result: Result, table: Mapping[str, Any]) -> str:
    """Every row with times, ratios, rates, targets and notes; columns that stay empty are left out."""
    rows = [full_row(result, table_row, result["rounds"]) for table_row in table["rows"]]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return grid([columns] + [[row.get(column, "") for column in columns] for row in rows])


def full_row(result: Result, row: Mapping[str, Any], rounds: int) -> dict[str, str]:
    """Column to text."""
    cells = {"": row["label"]}
    for side, figures in row["sides"].items():
        cells[side] = duration(figures["median_s"] / row["per"])
    for side, ratio in row["ratios"].items():
        if side != "best" or len(row["ratios"]) > 2:
            cells[f"against {side}"] = f"{ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})"
    for unit, name in (("gflops", "GFLOP/s"), ("gbytes", "GB/s"), ("items", f"{result['item']}/s")):
        for side, rates in row["rates"].items():
            if unit in rates:
                cells[f"{side}, {name}"] = f"{rates[unit]:,.0f}" if rates[unit] >= 100 else f"{rates[unit]:.3g}"
    if "share_of_ceiling" in row:
        cells["of the FMA ceiling"] = f"{row['share_of_ceiling']:.0%} of {row['ceiling_gflops']:.0f}"
    for side, figures in row["sides"].items():
        for note, value in {} if many_notes(row) else figures["notes"].items():
            cells[f"{side}, {note}"] = f"{value:.4g}"
    if row["targets"]:
        cells["target"] = targets_text(row)
    cells["first call"] = " / ".join(duration(figures["first_s"]) for figures in row["sides"].values())
    cells["quiet rounds"] = f"{row['quiet_rounds']}/{rounds}"
    return cells


def many_notes(row: Mapping[str, Any]) -> bool:
    """More than fit beside the times of a row: they get a table of their own."""
    return sum(len(figures["notes"]) for figures in row["sides"].values()) > 12


def notes_table(row: Mapping[str, Any]) -> str:
    """What the sides of a row noted, a line a side."""
    notes = list(dict.fromkeys(note for figures in row["sides"].values() for note in figures["notes"]))
    return grid([["", *notes]] + [[side, *(f"{figures['notes'][note]:.4g}" if note in figures["notes"] else ""
                                           for note in notes)] for side, figures in row["sides"].items()])


def targets_text(row: Mapping[str, Any]) -> str:
    """The targets of a row, unless the machine was too busy, or the figures cannot be true."""
    if row.get("impossible"):
        return f"not judged: {', '.join(row['impossible'])} above the ceiling, so flops or ceiling are wrong"
    if not row["judged"]:
        return "not judged: the machine was busy"
    return "; ".join(verdict_text(name, verdict) for name, verdict in row["targets"].items())


def verdict_text(name: str, verdict: Mapping[str, Any]) -> str:
    """A target and whether it is met."""
    met = "met" if verdict["met"] else "missed"
    if name == "seconds":
        return f"<= {duration(verdict['target'])}: {met}"
    if name == "ceiling":
        return f">= {verdict['target']:.0%} of the ceiling: {met}"
    return f">= {verdict['target']:g}x {name}: {met}"


def mean_line(table: Mapping[str, Any]) -> str:
    """Geometric means of a table, each with its target where it has one."""
    return "; ".join(
        f"{mean['reached']:.2f}x {side}" + (f" ({verdict_text(side, mean)})" if "target" in mean else "")
        for side, mean in table["means"].items() if side != "best" or "target" in mean)


def summary(results: list[Result]) -> str:
    """The README's table: a line a row, ratios with their spread against each peer, whether the target is met."""
    lines = [["measured", "threads", "ours", "peers", "faster than the peer by", "target"]]
    for result in results:
        for table in result["tables"]:
            for row in table["rows"]:
                (_, ours), *peers = row["sides"].items()
                lines.append([
                    f"{result['title']}: {row['label']}", str(table["threads"]),
                    duration(ours["median_s"] / row["per"]),
                    ", ".join(f"{side} {duration(figures['median_s'] / row['per'])}" for side, figures in peers),
                    ", ".join(f"{row['ratios'][side]['median']:.2f}x ({row['ratios'][side]['min']:.2f}.."
                              f"{row['ratios'][side]['max']:.2f}) {side}" for side, _ in peers),
                    targets_text(row) if row["targets"] else "",
                ])
            if any("target" in mean for mean in table["means"].values()):
                title = f"{result['title']}: geometric mean"
                lines.append([title, str(table["threads"]), "", "", mean_line(table), ""])
    machines = dict.fromkeys(machine_line(result) for result in results)
    return grid(lines) + "\n\n" + "\n\n".join(machines) + "\n"


def overview(results: list[Result]) -> str:
    """A line a benchmark: how much faster than each peer, as geometric mean with the least and the most of its rows."""
    lines = [["benchmark", "threads", "rows", "faster than the peer by: mean (least..most of its rows)", "targets met"]]
    for result in results:
        for table in result["tables"]:
            rows = table["rows"]
            sides = dict.fromkeys(side for row in rows for side in row["ratios"] if side != "best")
            text = []
            for side in sides:
                found = [row["ratios"][side]["median"] for row in rows if side in row["ratios"]]
                text.append(f"{geometric_mean(found):.2f}x ({min(found):.2f}..{max(found):.2f}) {side}")
            judged = [verdict["met"] for row in rows if row["judged"] and not row.get("impossible")
                      for verdict in row["targets"].values()]
            met = f"{sum(judged)} of {len(judged)}" if judged else ""
            lines.append([result["title"], str(table["threads"]), str(len(rows)), ", ".join(text), met])
    return grid(lines)


def grid(lines: list[list[str]]) -> str:
    """A Markdown table; the first line is its head."""
    head, *rows = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])
