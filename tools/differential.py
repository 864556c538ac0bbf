"""Compare the backends with the reference on drawn shapes, dtypes, settings, instruction sets, threads and layouts.

    python tools/differential.py [--comparisons 100000] [--seconds 600] [--seed 0] [--only NUMBER]

Each case draws a chain of operations of the contract (`minidl.kernels.contract`), forward and backward, and arrays for
it, which lie at any place in memory. The reference computes it in float64 from the same numbers; the native backend
with each instruction set of this machine, one to four threads, and either tile of Winograd's form; im2col. Some cases
go through `minidl.functional` with arrays of any strides and byte order, some predict with a network in both layouts.
Half of the cases have small whole numbers, for which sums are exact and maxima are full of ties: there what only adds,
multiplies and compares must agree to the bit; elsewhere to `TOLERANCE` of the largest result, or of 1.
Each result that is compared counts as one. Ends with an error at a disagreement, whose case --only repeats; says which
operations of the contract no case has called.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from drawn_chains import CHAINS, Run

import minidl
from minidl import kernels
from minidl.kernels import assemble, reference

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from kernels import compare, variants

TOLERANCE = {np.dtype(np.float32): 5e-5, np.dtype(np.float64): 1e-11}
"""As `tests/kernels/test_operations.py` has it, for chains."""


class DisagreementError(AssertionError):
    """A result is not the reference's."""


def case(number: int, seed: int, called: set[str]) -> int:
    """Compare all backends on one case; returns how many results were compared."""
    kind, key = CHAINS[number % len(CHAINS)], (seed, number)
    with kernels.use("reference"), np.errstate(all="ignore"):
        run = Run(reference, key, called, wide=True)
        expected = [(name, np.array(value), exact and run.whole) for name, value, exact in kind(run)]
    rng, done = np.random.default_rng((*key, 1)), 0
    for variant in variants.COMPILED:
        threads, tile = int(rng.integers(1, 5)), int(rng.choice((0, 2, 4)))
        who = (
            f"case {number} of seed {seed}, {kind.__name__}, {variants.label(variant)}, {threads} threads, tile {tile}"
        )
        with variants.using(variant) as backend, np.errstate(all="ignore"):
            if variant.name == "native":
                backend.set_num_threads(threads)
                backend.use_winograd(tile)
            run, name = Run(backend, key, called, wide=False), ""
            try:
                for (name, value, _), (wanted, values, exact) in zip(kind(run), expected, strict=True):
                    found = value if isinstance(value, np.ndarray) else run.leave(value)
                    assert name == wanted
                    _compare(found, values, run.dtype, exact and tile == 0)
                    done += 1
            except Exception as error:
                drawn = f"{threads} threads, tile {tile}, n {run.n}, {run.dtype}, whole {run.whole}"
                raise DisagreementError(f"{who}, {drawn}, {name}: {type(error).__name__} {error}") from error
            finally:
                if variant.name == "native":
                    backend.use_winograd(4)
    return done


def _compare(found: np.ndarray, expected: np.ndarray, dtype: np.dtype, exact: bool) -> None:
    if expected.dtype.kind in "iu" or exact:
        assert found.shape == expected.shape
        assert np.array_equal(found.astype(np.float64), expected.astype(np.float64), equal_nan=True), "not equal"
        return
    error = compare.relative_error(found, expected, at_least=1.0)
    assert error <= TOLERANCE[dtype], f"relative error {error:.3g}, allowed {TOLERANCE[dtype]:.3g}"


def main(argv: list[str] | None = None) -> None:
    """Compare until there are so many, or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    given = parser.parse_args(argv)
    end, called, done, number = time.monotonic() + given.seconds, set[str](), 0, given.only or 0
    threads = minidl.get_num_threads()
    bad = 0
    try:
        while done < given.comparisons and time.monotonic() < end:
            try:
                done += case(number, given.seed, called)
            except DisagreementError as error:
                print(error, flush=True)
                bad += 1
            number += 1
            if given.only is not None:
                break
    finally:
        minidl.set_num_threads(threads)
    left = sorted(set(assemble.OPERATIONS) - called)
    print(f"{done} comparisons in {number} cases, {len(called)} operations, {bad} disagreements")
    if given.only is None and left:
        print(f"not called: {', '.join(left)}")
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
