"""Let the verbs that read files read thousands that are nearly right: only our errors may come.

python benchmarks/fuzz.py --files 10000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes_fuzz import SEEDS, faults
from fakes_judge import small_store

import slicedb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="*", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    each, total = -(-args.files // len(args.kinds)), 0
    for kind in args.kinds:
        with tempfile.TemporaryDirectory() as scratch:
            db = slicedb.open(small_store(Path(scratch))[0].path)
            found = list(faults(db, Path(scratch, "files"), kind, each, args.seed))
        total += len(found)
        print(f"{kind:20} {each} files, {len(found)} errors that are not ours", flush=True)
        for fault in found[:5]:
            print(f"  {fault[:300]}", flush=True)
    print(f"{each * len(args.kinds):,} files, {total} errors that are not ours")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
