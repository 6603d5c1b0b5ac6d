"""The data that is backed up: made once, deterministic, the same for every contestant and every commit.

    a  a source tree (Linux 6.1, from Debian's package): many small and middling files
    b  logs, CSV and SQL in three large files: compressible text
    c  random bytes in two large files: nothing to gain, only to carry
    d  a disk image, then the same image after 2 % of it changed in runs and 1 MB was inserted
    e  300,000 tiny files
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATOR = os.path.join(HERE, "make-data.rs")
SOURCE_PACKAGE = "linux-source-6.1"
NAMES = "abcde"

# At scale 1, in a file system of 4 KiB blocks, rounded up: what a set takes, its second state included.
GIB = 1 << 30
SET_BYTES = {"a": 2 * GIB, "b": 2 * GIB, "c": 2 * GIB, "d": 6 * GIB, "e": 2 * GIB}
# A set, one repository and one restore at a time.
ROOM_BYTES = max(SET_BYTES.values()) + 5 * GIB

_GENERATED = {"b": "big", "c": "rand", "d": "vm", "e": "tiny"}


class Unavailable(Exception):
    """A set that this machine cannot make; the text says why."""


@dataclass(frozen=True)
class DataSet:
    """A folder to back up, and, for d, the folder that takes its place for the backup of changed data."""

    name: str
    first: str
    changed: str | None


def make(name, folder, scale):
    """Makes set `name` beneath `folder`, unless it is there already, and returns it. Raises Unavailable."""
    root = os.path.join(folder, "data")
    first = os.path.join(root, {"d": "d1"}.get(name, name))
    changed = os.path.join(root, "d3") if name == "d" else None
    stamp = os.path.join(root, f"{name}.made")
    recipe = f"{scale} {_digest(GENERATOR)}\n"
    if not (os.path.exists(stamp) and open(stamp).read() == recipe):
        for old in (first, changed):
            shutil.rmtree(old or "", ignore_errors=True)
        os.makedirs(root, exist_ok=True)
        if name == "a":
            _unpack_source_tree(first, scale)
        else:
            subprocess.run([_generator(folder), _GENERATED[name], root, "0", str(scale)], check=True)
        if name == "d":
            shutil.rmtree(os.path.join(root, "d2"))
        with open(stamp, "w") as made:
            made.write(recipe)
    return DataSet(name, first, changed)


def remove(data, folder):
    """Frees the room that a set takes."""
    os.remove(os.path.join(folder, "data", f"{data.name}.made"))
    for tree in (data.first, data.changed):
        shutil.rmtree(tree or "", ignore_errors=True)


def _digest(path):
    with open(path, "rb") as source:
        return hashlib.sha256(source.read()).hexdigest()[:16]


def _generator(folder):
    program = os.path.join(folder, f"make-data-{_digest(GENERATOR)}")
    if not os.path.exists(program):
        subprocess.run(["rustc", "-O", "--edition", "2021", "-o", program, GENERATOR], check=True)
    return program


def _unpack_source_tree(target, scale):
    archive = _source_archive()
    os.makedirs(target)
    subprocess.run(["tar", "-xJf", archive, "-C", target], check=True)
    files = sorted(os.path.join(parent, name) for parent, _, names in os.walk(target) for name in names)
    for i, path in enumerate(files):
        if int((i + 1) * scale) == int(i * scale):  # an even sample remains
            os.remove(path)


def _source_archive():
    """Debian's package of the Linux source, unpacked into the tools' folder once."""
    tools = os.environ.get("KEEPWELL_TEST_TOOLS") or os.path.expanduser("~/.cache/keepwell-tests")
    home = os.path.join(tools, SOURCE_PACKAGE)
    archive = os.path.join(home, "usr", "src", f"{SOURCE_PACKAGE}.tar.xz")
    if os.path.exists(archive):
        return archive
    if not (shutil.which("apt-get") and shutil.which("xz")):
        raise Unavailable(f"{SOURCE_PACKAGE} comes with apt-get and is unpacked with tar and xz")
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    print(f"fetching: {SOURCE_PACKAGE}")
    ran = subprocess.run(["apt-get", "-q", "download", SOURCE_PACKAGE], cwd=home, capture_output=True, text=True)
    packages = [name for name in os.listdir(home) if name.endswith(".deb")]
    if ran.returncode != 0 or not packages:
        why = (ran.stderr.strip().splitlines() or ["no package came"])[-1]
        raise Unavailable(f"apt-get download {SOURCE_PACKAGE}: {why} (try apt-get update)")
    subprocess.run(["dpkg-deb", "-x", packages[0], home], cwd=home, check=True)
    os.remove(os.path.join(home, packages[0]))
    if not os.path.exists(archive):
        raise Unavailable(f"the package {SOURCE_PACKAGE} holds no tar.xz")
    return archive
