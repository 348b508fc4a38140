#!/usr/bin/env python3
"""Builds the gateway as it is released, with a profile of its own traffic (profile-guided optimisation), and prints its path.

A first build counts what it does while it serves some of everything that `run.py` measures; the second one is told. Both
need LLVM's `llvm-profdata`, no older than the compiler's LLVM can do with: rustup's (`rustup component add llvm-tools`), the
one that LLVM_PROFDATA names, or Debian's.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import run
import stand

OUT = stand.ROOT / "target/profiled"
PROFILE = OUT / "gateway.profdata"
# Of Debian 12, and of later ones as well.
LLVM_PACKAGE, LLVM_TOOL = "llvm-19", "llvm-profdata-19"


def rustc(*options):
    return stand.run("rustc", *options, stdout=subprocess.PIPE, text=True).stdout


HOST = re.search(r"^host: (.+)$", rustc("-vV"), re.M)[1]


def llvm_profdata():
    """What merges profiles: one that is named, the compiler's own, or one of Debian's."""
    if named := os.environ.get("LLVM_PROFDATA"):
        return named
    own = pathlib.Path(rustc("--print", "sysroot").strip(), "lib/rustlib", HOST, "bin/llvm-profdata")
    if own.exists():
        return own
    stand.install(LLVM_PACKAGE)
    return LLVM_TOOL


def build(name, flags):
    """Builds with these flags, which are not for build scripts: hence the target."""
    environment = os.environ | {"RUSTFLAGS": flags}
    options = ["--release", "--locked", "--target", HOST, "--target-dir", OUT / name]
    stand.run("cargo", "build", *options, cwd=stand.ROOT, env=environment, stdout=sys.stderr)
    return OUT / name / HOST / "release/tfa-gateway"


def train(binary):
    """Has it serve some of everything. Each process leaves its counts when it ends."""
    # Whatever `run.py` was told by the environment.
    run.ONLY, run.SECONDS_EACH, run.CONNECTIONS, run.SUBJECTS = list(run.WORKS), "2", "32", 400000
    with run.Bench() as bench:
        bench.prepare(binary)
        for work, (_, _, names) in run.WORKS.items():
            for name in names:
                if name.startswith("gateway") or name == "embedded":
                    print(f"training: {work}, {name} …", file=sys.stderr)
                    bench.measure(work, name)


def release():
    """Builds it anew, whatever is there; returns its path."""
    merge = llvm_profdata()
    stand.install(*stand.PACKAGES)
    counts = OUT / "counts"
    shutil.rmtree(counts, ignore_errors=True)
    train(build("counting", f"-Cprofile-generate={counts}"))
    stand.run(merge, "merge", "-o", PROFILE, counts)
    return build("used", f"-Cprofile-use={PROFILE}")


if __name__ == "__main__":
    print(release())
