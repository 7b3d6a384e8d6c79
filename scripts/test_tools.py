"""Fetch what the tests want beside Python packages, where it can be had.

    python scripts/test_tools.py            a browser, Prometheus, Redis, faketime and axe-core
    python scripts/test_tools.py axe-core   axe-core alone

Programs come from Debian's packages, if this is Debian and may be changed; axe-core comes from the
npm registry into .tools/, which is not kept in git. What cannot be had is named, and is no error:
the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TOOLS = Path(__file__).parents[1] / ".tools"
PROGRAMS = {
    "chromium": "chromium",
    "prometheus": "promtool",
    "redis-tools": "redis-check-rdb",  # It is the server too, under another name.
    "faketime": "faketime",
}
"""Debian's packages, and a program of each."""
AXE = "4.14.1"
AXE_FILE = TOOLS / f"axe-core-{AXE}.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


class Missing(Exception):
    """What could not be had, and why."""


def run(*command: str) -> None:
    """Run a program, or raise `Missing` with the last thing it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{command[0]}: {said[-1] if said else done.returncode}")


def programs() -> None:
    """Install the programs that are missing."""
    wanted = [package for package, program in PROGRAMS.items() if not shutil.which(program)]
    if not wanted:
        return
    if not shutil.which("apt-get"):
        raise Missing(f"{', '.join(wanted)}: there is no apt-get here; install them by hand")
    if os.geteuid() != 0:
        raise Missing(f"{', '.join(wanted)}: `sudo apt-get install {' '.join(wanted)}` needs root")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted)


def axe_core() -> None:
    """Fetch axe-core, which checks pages for barriers."""
    if AXE_FILE.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        run("npm", "pack", "--silent", f"axe-core@{AXE}", "--pack-destination", folder)
        with tarfile.open(Path(folder, f"axe-core-{AXE}.tgz")) as archive:
            packed = archive.extractfile("package/axe.min.js")
            assert packed is not None
            content = packed.read()
    got = hashlib.sha256(content).hexdigest()
    if got != AXE_SHA256:
        raise Missing(f"axe-core: got a file with the hash {got}, expected {AXE_SHA256}")
    TOOLS.mkdir(exist_ok=True)
    AXE_FILE.write_bytes(content)


def main(arguments: list[str]) -> int:
    """Fetch what is asked for; name what could not be had."""
    steps = {"programs": programs, "axe-core": axe_core}
    for name in arguments or steps:
        try:
            steps[name]()
        except Missing as missing:
            print(f"not to be had here: {missing}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
