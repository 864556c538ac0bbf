"""Lists of arrays, one for each of several."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.support.several import Rows, listed


def test_a_list_a_tuple_or_rows_of_as_many_arrays():
    arrays = [np.zeros(2), np.ones(2)]
    for values in (arrays, tuple(arrays), Rows(arrays)):
        found = listed("Who", "x", values, 2, "one for each input")
        assert type(found) is list
        assert all(one is other for one, other in zip(found, arrays, strict=True))


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([np.zeros(2)], "1"),
        ((np.zeros(2),) * 3, "3"),
        (Rows([np.zeros(2)]), "1"),
        (np.zeros((2, 3)), "ndarray"),
        (None, "NoneType"),
    ],
)
def test_others_are_refused(values, got):
    with pytest.raises(TypeError, match=f"Who: x must be a list of 2 arrays, one for each input, got {got}$"):
        listed("Who", "x", values, 2, "one for each input")
