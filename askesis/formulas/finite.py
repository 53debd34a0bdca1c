"""One check for every number that comes from outside: it must be finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from askesis.errors import ConfigError


def finite(name: str, values: Any) -> np.ndarray:
    """`values` as a float64 array. Raises ConfigError where one is not a finite number.

    A single NaN reward would turn a whole group's advantages into NaN, and an update with one is
    refused later without telling where it came from.

    >>> finite("rewards", [1, 0.5]).tolist()
    [1.0, 0.5]
    """
    found = np.asarray(values, np.float64)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise ConfigError(
            f"{name} must be finite numbers",
            found=f"{found[place]} at position {place[0] if len(place) == 1 else place}",
            hint="look at the judge that gave it",
        )
    return found
