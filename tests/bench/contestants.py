"""The programs that are compared, each with its own spelling of the same steps.

Every one encrypts, compresses with zstd at about level 3, keeps a cache in a private folder and reads no
settings but those given here. What a program does by default it does here too.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field

PASSWORD = "benchmark"


@dataclass
class Place:
    """Where one contestant works during one round; made anew for each."""

    root: str
    repository: str = field(init=False)
    restored: str = field(init=False)
    home: str = field(init=False)

    def __post_init__(self):
        self.repository = os.path.join(self.root, "repository")
        self.restored = os.path.join(self.root, "restored")
        self.home = os.path.join(self.root, "home")
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.home)


class Contestant:
    """One program. Each step returns the command line that does it; `backups` counts the archives so far."""

    def __init__(self, name, program):
        self.name = name
        self.program = program

    def version(self):
        """The program's own word for its version, for the record."""
        for argument in ("version", "--version"):
            try:
                ran = subprocess.run(
                    [self.program, argument], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
            if ran.returncode == 0 and ran.stdout.strip():
                return " ".join(ran.stdout.split()[:2])
        return "unknown version"

    def environment(self, place):
        """Only what a program needs, so that nobody's own settings take part."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return kept | {"HOME": place.home, "XDG_CONFIG_HOME": place.home, "XDG_CACHE_HOME": place.home, "TMPDIR": place.home} | self.own(place)

    def own(self, place):
        raise NotImplementedError

    def init(self, place):
        return [self.program, "init"]

    def backup(self, place, source, backups):
        return [self.program, "backup", source]

    def fast_backup(self, source):
        """A backup with the quickest compression, where that is a row of its own; else None."""
        return None

    def snapshots(self, place):
        return [self.program, "snapshots"]

    def restore(self, place, backups):
        return [self.program, "restore", "latest", "--target", place.restored]

    def check(self, place):
        return [self.program, "check", "--read-data"]


class Keepwell(Contestant):
    def own(self, place):
        return {
            "KEEPWELL_REPOSITORY": place.repository,
            "KEEPWELL_PASSWORD": PASSWORD,
            "KEEPWELL_CACHE_DIR": os.path.join(place.home, "cache"),
        }

    def fast_backup(self, source):
        return [self.program, "backup", "--compression", "fastest", source]


class Restic(Contestant):
    def own(self, place):
        return {
            "RESTIC_REPOSITORY": place.repository,
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": os.path.join(place.home, "cache"),
        }


class Rustic(Contestant):
    def own(self, place):
        return {
            "RUSTIC_REPOSITORY": place.repository,
            "RUSTIC_PASSWORD": PASSWORD,
            "RUSTIC_CACHE_DIR": os.path.join(place.home, "cache"),
            "RUSTIC_NO_PROGRESS": "true",
        }

    def restore(self, place, backups):
        return [self.program, "restore", "latest", place.restored]


class Borg(Contestant):
    def own(self, place):
        return {
            "BORG_REPO": place.repository,
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": place.home,
        }

    def init(self, place):
        return [self.program, "init", "--encryption", "repokey"]

    def backup(self, place, source, backups):
        return [self.program, "create", "--compression", "zstd,3", f"::{backups}", source]

    def snapshots(self, place):
        return [self.program, "list"]

    def restore(self, place, backups):
        # borg extracts into the working folder: the same fresh one that the others are given.
        into = 'mkdir "$1" && cd "$1" && exec "$2" extract "$3"'
        return ["sh", "-c", into, "sh", place.restored, self.program, f"::{backups}"]

    def check(self, place):
        return [self.program, "check", "--verify-data"]


def find(keepwell, wanted):
    """The contestants that are there, keepwell first; those that are not are named on one line each."""
    tools = os.environ.get("KEEPWELL_TEST_TOOLS") or os.path.expanduser("~/.cache/keepwell-tests")
    candidates = [
        (Keepwell, "keepwell", keepwell),
        (Restic, "restic", os.path.join(tools, "bin", "restic-0.18")),
        (Rustic, "rustic", os.path.join(tools, "bin", "rustic")),
        (Borg, "borg", shutil.which("borg")),
    ]
    there = []
    for kind, name, program in candidates:
        if name not in wanted:
            continue
        if program and os.access(program, os.X_OK):
            there.append(kind(name, program))
        else:
            print(f"left out: {name} (not there; tests/install brings the peers)")
    return there
