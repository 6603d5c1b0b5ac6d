"""Runs one command and says what it cost.

The figures are the kernel's, from wait4 on the child: they count its own children too, as far as it waited for
them. The peak is that of the largest single process, and never less than this interpreter's own, about
30 MiB, which the child holds between fork and exec.
"""

import os
import resource
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

# Longer than any step here takes on the slowest machine worth measuring; a command that hangs ends the row, not the day.
STEP_SECONDS_MAX = 3600
# Left alone when memory is touched.
SPARE_BYTES = 1 << 30


@dataclass(frozen=True)
class Cost:
    """What one run of one command took."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


class StepFailed(Exception):
    """A command that was to be measured did not exit with 0; the text is the end of its output."""


def run(argv, environment, directory, log):
    """Runs `argv` to its end and returns its Cost. Output goes to the file `log`; raises StepFailed."""
    os.sync()  # what the step before wrote is not this step's to wait for
    with open(log, "ab") as output:
        output.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
        output.flush()
        before = output.tell()
        start = time.monotonic()
        try:
            child = subprocess.Popen(
                argv, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise StepFailed(str(error)) from error
        deadline = threading.Timer(STEP_SECONDS_MAX, child.kill)
        deadline.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        deadline.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise StepFailed(f"{' '.join(map(str, argv[:3]))}: exit {child.returncode}: {_last_line(log, before)}")
    # ru_maxrss is in KiB on Linux.
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def touch_memory(folder, wanted_bytes):
    """Has the machine hold `wanted_bytes` of free memory, through a file in memory beneath `folder` that is deleted again.

    A virtual machine gives free memory back to its host within seconds, and asks for it again page by page: 2.5 ns a
    byte where this was found, more than a backup takes. Whoever runs first would pay for all.
    """
    path = os.path.join(folder, "touched")
    block = bytes(1 << 20)
    left = min(wanted_bytes, shutil.disk_usage(folder).free - SPARE_BYTES)
    try:
        with open(path, "wb", buffering=0) as file:
            while left > 0:
                left -= file.write(block)
    finally:
        os.unlink(path)


def tree_bytes(folder):
    """The sizes of all files beneath `folder`, added up: what a repository takes in a store."""
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)
    return total


def own_peak_bytes():
    """The floor beneath every peak reported here."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _last_line(log, offset):
    with open(log, "rb") as output:
        output.seek(offset)
        lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
