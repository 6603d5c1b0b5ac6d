"""What keepwell is to reach: in each row at most such a share of the fastest peer's wall time, and of its CPU seconds.

Peers are restic, rustic and borg. A row of keepwell's alone (`fast`) is held against the peers' row that it stands
for. Peaks are of one process, with the 32 MiB that the key derivation takes for a moment left out.
"""

from statistics import median

MIB = 1 << 20
# (set, step): (share, the peers' step)
SHARES = {
    ("a", "backup"): (0.40, "backup"),
    ("b", "backup"): (0.60, "backup"),
    ("c", "backup"): (0.40, "backup"),
    ("d", "backup"): (0.57, "backup"),
    ("e", "backup"): (0.30, "backup"),
    ("b", "fast"): (0.45, "backup"),
    ("d", "changed"): (0.40, "changed"),
    ("a", "again"): (0.25, "again"),
    ("e", "again"): (0.18, "again"),
    ("a", "restore"): (0.45, "restore"),
    ("b", "restore"): (0.62, "restore"),
    ("c", "restore"): (0.35, "restore"),
    ("d", "restore"): (0.63, "restore"),
    ("e", "restore"): (0.40, "restore"),
    ("a", "check"): (0.72, "check"),
    ("b", "check"): (0.72, "check"),
    ("c", "check"): (0.52, "check"),
    ("d", "check"): (0.65, "check"),
    ("e", "check"): (0.60, "check"),
}
# A repository may be so much larger than the smallest of the peers'; quick compression has its price.
STORED_SHARES = {"backup": 1.01, "changed": 1.00, "fast": 1.12}
KEY_DERIVATION_MIB = 32
PEAK_MIB = {"a": 150, "b": 100, "c": 100, "d": 100, "e": 150}
RESTORE_PEAK_MIB = 200


def judge(results, ours="keepwell"):
    """One line of Markdown for each bar that was measured, and how many were reached: (lines, reached, of)."""
    by_key = {(r["set"], r["step"], r["contestant"]): r for r in results}
    peers = sorted({r["contestant"] for r in results} & {"restic", "rustic", "borg"})
    lines, reached, count = [], 0, 0
    for (data, step), (share, of_step) in SHARES.items():
        mine = by_key.get((data, step, ours))
        theirs = [by_key[key] for peer in peers if (key := (data, of_step, peer)) in by_key]
        if not mine or not theirs:
            continue
        wall, cpu = (_share(figure, mine, theirs) for figure in ("wall_seconds", "cpu_seconds"))
        stored = _share("repository_bytes" if step != "changed" else "added_bytes", mine, theirs)
        peak = median(mine["peak_bytes"]) / MIB - KEY_DERIVATION_MIB
        peak_max = RESTORE_PEAK_MIB if step == "restore" else PEAK_MIB[data]
        wrong = [
            name
            for name, is_wrong in (
                ("wall", wall > share),
                ("CPU", cpu > share),
                ("stored", stored is not None and stored > STORED_SHARES.get(step, 1.01)),
                ("peak", peak > peak_max),
            )
            if is_wrong
        ]
        count += 1
        reached += not wrong
        walls = mine["wall_seconds"]
        lines.append(
            f"| {data} | {step} | {median(walls):.2f} ({min(walls):.2f}–{max(walls):.2f}) | {wall:.2f} | {cpu:.2f} | {share:.2f}"
            f" | {peak:.0f} of {peak_max} | {'' if stored is None else f'{stored:.3f}'} |"
            f" {'yes' if not wrong else 'no: ' + ', '.join(wrong)} |"
        )
    return lines, reached, count


HEAD = """| set | step | wall s (fastest–slowest) | wall ÷ best peer | CPU ÷ best peer | bar | peak MiB | stored ÷ least | reached |
|---|---|---|---|---|---|---|---|---|"""


def _share(figure, mine, theirs):
    """Ours over the least of the others; None where no such thing was measured."""
    others = [median(other[figure]) for other in theirs if other.get(figure)]
    if not mine.get(figure) or not others or min(others) <= 0:
        return None
    return median(mine[figure]) / min(others)
