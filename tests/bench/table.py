"""Turns the figures of all rounds into one table.

A result is a dict as in the JSON: set, step, contestant, and lists with one value a round: wall_seconds,
cpu_seconds, peak_bytes, and for backups repository_bytes and added_bytes.
"""

from statistics import median

FIGURES = ("wall_seconds", "cpu_seconds", "peak_bytes", "added_bytes")
MIB = 1 << 20


def render(results, contestants, ratios_of="keepwell", against=None):
    """The table as text: medians, and keepwell's ratio to the best peer in each figure (under 1 is better)."""
    by_key = {(r["set"], r["step"], r["contestant"]): r for r in results}
    rows = list(dict.fromkeys((r["set"], r["step"]) for r in results))
    before = {(r["set"], r["step"]): r for r in (against or []) if r["contestant"] == ratios_of}
    ratios = ratios_of in contestants and len(contestants) > 1

    head = ["set step".ljust(14)] + [name.center(_WIDTH) for name in contestants]
    units = ["".ljust(14)] + [f"{'wall s':>7} {'±':>4} {'cpu s':>7} {'MiB':>5} {'stored':>7}"] * len(contestants)
    if ratios:
        head.append(f"{ratios_of} ÷ best peer".center(31))
        units.append(f"{'wall':>6} {'cpu':>6} {'mem':>6} {'stored':>6}   ")
    if against is not None:
        head.append(f"{ratios_of} now ÷ then".center(27))
        units.append(f"{'wall':>6} {'cpu':>6} {'mem':>6} {'stored':>6}")

    lines = [" │ ".join(head).rstrip(), " │ ".join(units).rstrip()]
    previous = None
    for data, step in rows:
        if data != previous:
            lines.append("─" * max(map(len, lines[:2])))
            previous = data
        ours = by_key.get((data, step, ratios_of))
        cells = [f"{data}   {step}".ljust(14)]
        cells += [_cell(by_key.get((data, step, name))) for name in contestants]
        if ratios:
            peers = [by_key.get((data, step, name)) for name in contestants if name != ratios_of]
            cells.append(_ratio_cell(ours, [peer for peer in peers if peer]) + "   ")
        if against is not None:
            cells.append(_ratio_cell(ours, [then] if (then := before.get((data, step))) else []))
        lines.append(" │ ".join(cells).rstrip())
    return "\n".join(lines)


_WIDTH = 34


def _cell(result):
    if result is None:
        return "–".center(_WIDTH)
    wall = median(result["wall_seconds"])
    spread = (max(result["wall_seconds"]) - min(result["wall_seconds"])) / 2 / wall if wall else 0
    stored = f"{median(result['added_bytes']) / MIB:7.1f}" if result.get("added_bytes") else " " * 7
    return (
        f"{wall:7.2f} {spread:4.0%} {median(result['cpu_seconds']):7.2f}"
        f" {median(result['peak_bytes']) / MIB:5.0f} {stored}"
    )


def _ratio_cell(ours, others):
    return " ".join(f"{_ratio(figure, ours, others):>6}" for figure in FIGURES)


def _ratio(figure, ours, others):
    """Ours over the least of the others, or nothing where one side has no such figure or the other is 0."""
    theirs = [median(other[figure]) for other in others if other.get(figure)]
    if not ours or not ours.get(figure) or not theirs or min(theirs) <= 0:
        return ""
    return f"{median(ours[figure]) / min(theirs):.2f}"


def plain(result):
    """One result on its own, in words."""
    wall, cpu = median(result["wall_seconds"]), median(result["cpu_seconds"])
    return f"{wall:.2f} s wall, {cpu:.2f} s cpu, {median(result['peak_bytes']) / MIB:.0f} MiB"
