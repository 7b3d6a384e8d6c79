"""Fetch the one chart library of the dashboard again, and check that it is the same.

    python scripts/vendor.py           writes service/dashboard/vendor/
    python scripts/vendor.py --record  writes the hashes, too: for a new version

What is fetched is compared with the hashes recorded beside the files before anything is written.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION = "uplot", "1.6.32"
VENDOR = Path(__file__).parents[1] / "service" / "dashboard" / "vendor"
SUMS = VENDOR / "SHA256SUMS"
FILES = {
    "package/dist/uPlot.iife.min.js": f"uPlot-{VERSION}.iife.min.js",
    "package/dist/uPlot.min.css": f"uPlot-{VERSION}.min.css",
    "package/LICENSE": "uPlot-LICENSE",
}


def fetch(folder: Path) -> dict[str, bytes]:
    """Return the files by the names they are kept under."""
    command = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(folder / f"{PACKAGE}-{VERSION}.tgz") as archive:
        contents = {}
        for member, name in FILES.items():
            packed = archive.extractfile(member)
            assert packed is not None, member
            contents[name] = packed.read()
        return contents


def sums(contents: dict[str, bytes]) -> str:
    """Return hashes as `sha256sum` writes them."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in contents.items())
    return "".join(f"{line}\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Fetch, check, write."""
    with tempfile.TemporaryDirectory() as folder:
        contents = fetch(Path(folder))
    if "--record" in arguments:
        VENDOR.mkdir(parents=True, exist_ok=True)
        SUMS.write_text(sums(contents), "utf-8")
    wanted = SUMS.read_text("utf-8")
    if sums(contents) != wanted:
        print(f"got\n{sums(contents)}\nexpected\n{wanted}", file=sys.stderr)
        return 1
    for name, data in contents.items():
        (VENDOR / name).write_bytes(data)
    print(f"{VENDOR}: {PACKAGE} {VERSION}, {len(contents)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
