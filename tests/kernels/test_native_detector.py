"""The instruction sets of x86 processors, by what CPUID and XCR0 tell: hypervisors that hide, old systems."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

lanearray = pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)

# Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2A, CPUID: word and bit of each feature.
BITS = {
    "sse3": ("ecx_of_1", 0),
    "ssse3": ("ecx_of_1", 9),
    "fma": ("ecx_of_1", 12),
    "cx16": ("ecx_of_1", 13),
    "sse4.1": ("ecx_of_1", 19),
    "sse4.2": ("ecx_of_1", 20),
    "movbe": ("ecx_of_1", 22),
    "popcnt": ("ecx_of_1", 23),
    "osxsave": ("ecx_of_1", 27),
    "avx": ("ecx_of_1", 28),
    "f16c": ("ecx_of_1", 29),
    "bmi1": ("ebx_of_7", 3),
    "avx2": ("ebx_of_7", 5),
    "bmi2": ("ebx_of_7", 8),
    "avx512f": ("ebx_of_7", 16),
    "avx512dq": ("ebx_of_7", 17),
    "avx512cd": ("ebx_of_7", 28),
    "avx512bw": ("ebx_of_7", 30),
    "avx512vl": ("ebx_of_7", 31),
    "lahf": ("ecx_of_80000001", 0),
    "lzcnt": ("ecx_of_80000001", 5),
}
V2 = frozenset({"sse3", "ssse3", "cx16", "sse4.1", "sse4.2", "popcnt", "lahf"})
V3 = V2 | {"fma", "movbe", "osxsave", "avx", "f16c", "bmi1", "avx2", "bmi2", "lzcnt"}
V4 = V3 | {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}

# The same, volume 1, "Enabling the XSAVE feature set": what an operating system saves.
X87, SSE, AVX, MASKS, UPPER, HIGH = 1, 2, 4, 32, 64, 128
OF_AVX = X87 | SSE | AVX
OF_AVX512 = OF_AVX | MASKS | UPPER | HIGH


def level(features, saved, highest=13, noise=0):
    """x86_level of a processor with these features; `noise` sets every bit that is none of them."""
    words = {"ecx_of_1": noise, "ebx_of_7": noise, "ecx_of_80000001": noise}
    for name, (word, bit) in BITS.items():
        words[word] = words[word] | 1 << bit if name in features else words[word] & ~(1 << bit)
    return lanearray.x86_level(highest, *words.values(), saved)


@pytest.mark.parametrize("noise", [0, 2**32 - 1], ids=["quiet", "noisy"])
@pytest.mark.parametrize(
    ("features", "saved", "expected"),
    [
        pytest.param(V4, OF_AVX512, 4, id="all of AVX-512"),
        pytest.param(V4, OF_AVX512 | 2**9 | 2**17 | 2**18, 4, id="more is saved"),
        pytest.param(V4, OF_AVX, 3, id="AVX-512 without the system"),
        pytest.param(V4, OF_AVX512 & ~MASKS, 3, id="masks are not saved"),
        pytest.param(V4, OF_AVX512 & ~UPPER, 3, id="upper halves are not saved"),
        pytest.param(V4, OF_AVX512 & ~HIGH, 3, id="registers 16 to 31 are not saved"),
        pytest.param(V4, OF_AVX512 & ~AVX, 1, id="AVX-512 is saved, AVX is not"),
        pytest.param(V4 - {"osxsave"}, 0, 1, id="AVX-512 without XSAVE"),
        pytest.param(V4 - {"avx512dq", "avx512bw", "avx512vl"}, OF_AVX512, 3, id="AVX-512 of Knights Landing"),
        pytest.param(V4 - {"avx2"}, OF_AVX512, 1, id="AVX-512, but AVX2 is hidden"),
        pytest.param(V3, OF_AVX, 3, id="all of AVX2"),
        pytest.param(V3, OF_AVX512, 3, id="AVX2 on a system that would save more"),
        pytest.param(V3, X87 | SSE, 1, id="AVX2 without the system"),
        pytest.param(V3, X87 | AVX, 1, id="half of AVX is saved"),
        pytest.param(V3, 0, 1, id="nothing is saved"),
        pytest.param(V3 - {"fma"}, OF_AVX, 1, id="AVX2 without FMA"),
        pytest.param(V2 | {"osxsave", "avx"}, OF_AVX, 1, id="AVX alone"),
        pytest.param(V2, 0, 1, id="x86-64-v2"),
        pytest.param(frozenset(), 0, 1, id="x86-64"),
    ],
)
def test_processors_and_systems(features, saved, expected, noise):
    assert level(features, saved, noise=noise) == expected


@pytest.mark.parametrize("hidden", sorted(V4))
def test_a_hypervisor_hides_one_feature(hidden):
    assert level(V4 - {hidden}, OF_AVX512) == (1 if hidden in V3 else 3)
    assert level(V3 - {hidden}, OF_AVX) == (1 if hidden in V3 else 3)


@pytest.mark.parametrize("highest", [0, 1, 6])
def test_leaf_7_counts_only_where_there_is_one(highest):
    """Older processors answer with the highest leaf they have."""
    assert level(V4, OF_AVX512, highest=highest) == 1
    assert level(V4, OF_AVX512, highest=7) == 4


@pytest.mark.skipif(bool(os.environ.get("MINIDL_SANITIZE")), reason="make sanitize may leave out instruction sets")
@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(), reason="Linux tells its flags on x86-64"
)
def test_this_machine_is_as_linux_sees_it():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = set(next(line for line in text.splitlines() if line.startswith("flags")).split())
    wanted = {"avx2": {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm", "xsave"}}
    wanted["avx512"] = wanted["avx2"] | {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}
    expected = {"baseline"} | {name for name, needed in wanted.items() if needed <= flags}
    assert set(lanearray.isas()) == expected
