"""What keepwell is to reach: in each row at most such a share of the fastest peer's wall time, and of that peer's CPU seconds
where it uses several cores: one that works on one core alone is held against in wall time.

Peers are restic, rustic and borg. A row of keepwell's alone (`fast`) is held against the peers' row that it stands
for. What is stored is held against rustic's. Peaks are of one process, the key derivation's 32 MiB included.
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
# A repository may be so much larger than rustic's, or add so much more; quick compression has its price.
STORED_SHARES = {"backup": 1.01, "changed": 1.00, "fast": 1.12}
PEAK_MIB = {"a": 150, "b": 100, "c": 100, "d": 100, "e": 150}
RESTORE_PEAK_MIB = 200
# CPU seconds a second of wall time from which on a peer uses several cores.
SEVERAL_CORES = 1.2


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
        fastest = min(theirs, key=lambda peer: median(peer["wall_seconds"]))
        wall, cpu = (_share(figure, mine, fastest) for figure in ("wall_seconds", "cpu_seconds"))
        rustic = by_key.get((data, of_step, "rustic"))
        stored = rustic and _share("added_bytes" if step == "changed" else "repository_bytes", mine, rustic)
        peak = median(mine["peak_bytes"]) / MIB
        peak_max = RESTORE_PEAK_MIB if step == "restore" else PEAK_MIB[data]
        wrong = [
            name
            for name, is_wrong in (
                ("wall", wall is None or wall > share),
                ("CPU", _uses_several_cores(fastest) and (cpu is None or cpu > share)),
                ("stored", stored is not None and stored > STORED_SHARES.get(step, 1.01)),
                ("peak", peak > peak_max),
            )
            if is_wrong
        ]
        count += 1
        reached += not wrong
        walls = mine["wall_seconds"]
        lines.append(
            f"| {data} | {step} | {median(walls):.2f} ({min(walls):.2f}–{max(walls):.2f}) | {fastest['contestant']}"
            f" {_number(wall, 2)} | {_number(cpu, 2)} | {share:.2f} | {peak:.0f} of {peak_max} | {_number(stored, 3)} |"
            f" {'yes' if not wrong else 'no: ' + ', '.join(wrong)} |"
        )
    return lines, reached, count


HEAD = """| set | step | wall s (fastest–slowest) | wall ÷ fastest peer | CPU ÷ its CPU | bar | peak MiB | stored ÷ rustic's | reached |
|---|---|---|---|---|---|---|---|---|"""


def _uses_several_cores(entry):
    return median(entry["cpu_seconds"]) > SEVERAL_CORES * median(entry["wall_seconds"])


def _share(figure, mine, other):
    """Ours over the other's; None where no such thing was measured."""
    if not mine.get(figure) or not other.get(figure) or median(other[figure]) <= 0:
        return None
    return median(mine[figure]) / median(other[figure])


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"
