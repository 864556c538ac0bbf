"""What a program refuses: a step that could leave its maps, and arrays that are not what it was made for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

program = pytest.importorskip("minidl._ext.program")
maps = pytest.importorskip("minidl._ext.map")
Map, Program = maps.Map, program.Program

F = np.float32


def lanes() -> int:
    return int(Program(F, 1).L)


def small(shape: tuple[int, int, int] = (3, 4, 4), halo: tuple[int, ...] = (0, 0, 0, 0), at: int = 0) -> Any:
    return Map(shape, lanes(), halo, at)


def at(elements: int) -> int:
    return -(-elements // 64) * 64


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (3, 4, -1)])
def test_map_sizes(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a map must have positive sizes"):
        Map(shape, 8)


def test_map_halo_and_size() -> None:
    with pytest.raises(ValueError, match="halo of at least 0"):
        Map((3, 4, 4), 8, (0, -1, 0, 0))
    with pytest.raises(ValueError, match="too large"):
        Map((3, 1 << 30, 1 << 30), 8)


def test_map_outside_the_arena() -> None:
    x = small()
    p = Program(F, x.size)
    for place in (-64, 64, 1 << 40):
        with pytest.raises(ValueError, match="must lie in the arena"):
            p.enter(small(at=place), F)
    with pytest.raises(ValueError, match="must start at a whole vector"):
        Program(F, 4 * x.size).enter(small(at=1), F)
    with pytest.raises(TypeError, match="must be a Map"):
        p.enter(None, F)


def test_lanes_of_another_layout() -> None:
    x = Map((3, 4, 4), 3)
    p = Program(F, 4096)
    p.enter(x, F)
    with pytest.raises(ValueError, match=f"must have {lanes()} lanes, got 3"):
        p.element(x, small(at=1024), "relu")


def conv(p: Any, x: Any, y: Any, w: np.ndarray, **other: Any) -> None:
    settings: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, **other}
    p.conv(x, y, w, None, None, *settings.values())


def test_convolution_that_leaves_its_maps() -> None:
    x, y = small((3, 4, 4), (1, 1, 1, 1)), small((5, 4, 4), at=4096)
    p, w = Program(F, 1 << 16), np.zeros((5, 3, 3, 3), F)
    conv(p, x, y, w)
    with pytest.raises(ValueError, match="halo of x must hold the padding"):
        conv(p, small((3, 4, 4), (1, 1, 1, 0)), y, w)
    with pytest.raises(ValueError, match="y must be"):
        conv(p, x, small((5, 5, 4), at=4096), w)
    with pytest.raises(ValueError, match="do not go together"):
        conv(p, x, small((6, 4, 4), at=4096), w)
    with pytest.raises(ValueError, match="do not go together"):
        conv(p, x, y, w, groups=3)
    with pytest.raises(ValueError, match="4 dimensions"):
        conv(p, x, y, w[0])
    with pytest.raises(TypeError, match="array of float32, got float64"):
        conv(p, x, y, w.astype(np.float64))
    with pytest.raises(ValueError, match="C-contiguous"):
        conv(p, x, y, w.transpose(0, 1, 3, 2)[..., ::-1])
    with pytest.raises(ValueError, match="other must have shape"):
        p.conv(x, y, w, None, None, (1, 1), (1, 1), (1, 1), 1, small((5, 4, 3), at=8192))
    with pytest.raises(ValueError, match="scale must have 5 elements"):
        p.conv(x, y, w, np.ones(4, F), None, (1, 1), (1, 1), (1, 1), 1)


def test_shapes_of_the_other_steps() -> None:
    p, x = Program(F, 1 << 16), small()
    for step in (p.maxpool, p.avgpool):
        with pytest.raises(ValueError, match="y must have shape"):
            step(x, small((3, 4, 4), at=4096), (2, 2), (2, 2), (0, 0))
    with pytest.raises(ValueError, match="y must have shape"):
        p.element(x, small((3, 4, 5), at=4096), "relu")
    with pytest.raises(ValueError, match="kind must be one of"):
        p.element(x, small(at=4096), "no such function")
    with pytest.raises(ValueError, match="a and b must have"):
        p.arithmetic(x, small((3, 4, 3), at=2048), small(at=4096), "+")
    with pytest.raises(ValueError, match="do not fit"):
        p.channels(x, small((2, 4, 4), at=4096), [0, 3], 0)
    with pytest.raises(ValueError, match="do not fit"):
        p.channels(x, small((2, 4, 4), at=4096), [0, 1], 1)
    with pytest.raises(ValueError, match="must have the elements"):
        p.leave(x, (3, 4, 5))


def test_steps_that_do_not_go_together_are_not_joined() -> None:
    p, plain = Program(F, 1 << 16), {"padding": (0, 0)}
    x, y, z = (small((5, 4, 4), (1, 1, 1, 1), at=i * 4096) for i in range(3))
    point, deep = np.ones((5, 5, 1, 1), F), np.ones((5, 1, 3, 3), F)
    with pytest.raises(ValueError, match="two or three steps can be joined, got 2 of 0"):
        p.join(2)
    conv(p, x, y, point, **plain)
    conv(p, y, z, point, **plain)
    with pytest.raises(ValueError, match="two or three steps can be joined, got 4 of 2"):
        p.join(4)
    with pytest.raises(ValueError, match="only a depthwise convolution and a pointwise one"):
        p.join(2)
    conv(p, z, x, deep, groups=5)
    conv(p, y, z, point, **plain)
    with pytest.raises(ValueError, match="a plain 1 x 1 convolution of what it makes"):
        p.join(2)
    conv(p, x, y, deep, groups=5)
    conv(p, y, z, point, **plain)
    p.join(2)
    with pytest.raises(ValueError, match="only a direct convolution can be joined with the depthwise one"):
        p.join(3)
    with pytest.raises(ValueError, match="a step can be joined once"):
        p.join(2)
    conv(p, x, y, deep, groups=5)
    conv(p, small((16, 4, 4), (1, 1, 1, 1), at=4096), z, np.ones((5, 16, 1, 1), F), **plain)
    with pytest.raises(ValueError, match=r"x must have shape \(5, 4, 4\), got \(16, 4, 4\)"):
        p.join(2)
    conv(p, x, small((3, 4, 4), (1, 1, 1, 1), at=4096), point[:3], **plain)
    conv(p, y, z, deep, groups=5)
    conv(p, z, x, point, **plain)
    with pytest.raises(ValueError, match=r"x must have shape \(3, 4, 4\), got \(5, 4, 4\)"):
        p.join(3)


def test_arrays_of_a_run() -> None:
    x, y = small(), small(at=at(small().size))
    p = Program(F, 2 * at(x.size))
    p.enter(x, F)
    p.element(x, y, "relu")
    p.leave(y, (48,))
    images = np.arange(-48, 48, dtype=F).reshape(2, 3, 4, 4)
    (out,) = p.run(2, images)
    np.testing.assert_array_equal(out, np.maximum(images, 0).reshape(2, 48))
    with pytest.raises(ValueError, match="must have 144 elements"):
        p.run(3, images)
    with pytest.raises(ValueError, match="must have images"):
        p.run(0, images)
    with pytest.raises(ValueError, match="1 inputs must have as many arrays, got 2"):
        p.run(2, images, images)
    with pytest.raises(TypeError, match="array of float32, got float64"):
        p.run(2, images.astype(np.float64))
    with pytest.raises(ValueError, match="C-contiguous"):
        p.run(2, images[:, :, ::-1])


def test_a_step_that_was_refused_leaves_nothing() -> None:
    x, y = small(), small(at=at(small().size))
    p = Program(F, 2 * at(x.size))
    p.enter(x, F)
    with pytest.raises(ValueError, match="kind must be one of"):
        p.element(x, y, "nothing")
    p.element(x, y, "abs")
    p.leave(y, (3, 4, 4))
    images = np.arange(-24, 24, dtype=F).reshape(1, 3, 4, 4)
    np.testing.assert_array_equal(p.run(1, images)[0], np.abs(images))
