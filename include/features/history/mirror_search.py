"""The point-in-time search through rows sorted by key and time, all rows of a spine at once.

Every search here halves: the group of a key, the last row up to T in it, and below that one the last that was
available by T. So no order of corrections makes it slow, and what is packed into one number is measured before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.int64]


def group_starts(keys: Sequence[pa.Array]) -> Numbers:
    """Where in sorted rows each key begins, and after all the number of rows."""
    count = len(keys[0])
    is_new = np.zeros(max(count - 1, 0), dtype=bool)
    for key in keys:
        is_new |= pc.not_equal(key[1:], key[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(is_new) + 1, [count]]) if count else np.zeros(1, dtype=np.int64)


def group_of(wanted: Sequence[pa.Array], known: Sequence[pa.Array]) -> Numbers:
    """For each wanted key its place among the known ones, which are unique and sorted; -1 if it is none of them."""
    if len(known) == 1 and pa.types.is_integer(known[0].type):
        return _places(wanted[0].to_numpy(), known[0].to_numpy())
    if len(known) == 1:
        return _codes(wanted[0], known[0])
    wanted_codes, known_codes = np.zeros(len(wanted[0]), np.int64), np.zeros(len(known[0]), np.int64)
    for own, of_block in zip(wanted, known, strict=True):
        values = pc.unique(of_block)
        codes = _codes(own, values)
        known_codes = known_codes * len(values) + _codes(of_block, values)
        wanted_codes = np.where((codes < 0) | (wanted_codes < 0), -1, wanted_codes * len(values) + codes)
        # Numbered anew by each column, codes stay below the square of the number of keys.
        dense, known_codes = np.unique(known_codes, return_inverse=True)
        wanted_codes = _places(wanted_codes, dense)
    order = np.argsort(known_codes)
    places = _places(wanted_codes, known_codes[order])
    return np.where(places < 0, -1, order[places])


def _codes(column: pa.Array, values: pa.Array) -> Numbers:
    return pc.index_in(column, value_set=values).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _places(wanted: Numbers, known: Numbers) -> Numbers:
    """The place of each wanted number in sorted ones without repetition, or -1."""
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, places, -1)


def last_up_to(values: Numbers, limits: Numbers, *, groups: Numbers, bounds: Numbers) -> Numbers:
    """Per limit the place of the last value that is at most the limit, in its group of rising values; else start - 1.

    :param groups: per limit the number of its group, which is `values[bounds[group]:bounds[group + 1]]`.
    """
    if not len(values):
        return bounds[groups] - 1
    least, greatest = int(values.min()), int(values.max())
    bits = (greatest - least + 1).bit_length()
    if bits + len(bounds).bit_length() > 63:
        return _last_by_halving(values, limits, starts=bounds[groups], ends=bounds[groups + 1])
    # Group and value in one number: the search through all groups at once is one of the library's.
    numbers = np.repeat(np.arange(len(bounds) - 1) << bits, np.diff(bounds)) + (values - (least - 1))
    reached = np.clip(limits, least - 1, greatest) - (least - 1)
    return np.searchsorted(numbers, (groups << bits) + reached, side="right") - 1


def _last_by_halving(values: Numbers, limits: Numbers, *, starts: Numbers, ends: Numbers) -> Numbers:
    places = starts.copy()
    longest = int((ends - starts).max(initial=0))
    for step in _halving(longest):
        candidates = places + step
        is_inside = candidates <= ends
        is_reached = is_inside & (values[np.where(is_inside, candidates - 1, 0)] <= limits)
        places = np.where(is_reached, candidates, places)
    return places - 1


def last_available(values: Numbers, limits: Numbers, *, places: Numbers, starts: Numbers) -> Numbers:
    """From each place downwards the first whose value is at most the limit; start - 1 if there is none down to start.

    Values are in no order. `least[k][i]` is the least of the 2**k values that end at i; where it is above the limit,
    all of them are passed over at once.
    """
    found = places.copy()
    open_rows = np.flatnonzero((places >= starts) & (values[np.maximum(places, 0)] > limits))
    if not len(open_rows):
        return found
    at, floor, limit = places[open_rows], starts[open_rows], limits[open_rows]
    least = [values]
    longest = int((at - floor + 1).max())
    while 2 ** len(least) <= longest:
        width = 2 ** (len(least) - 1)
        doubled = least[-1].copy()
        np.minimum(doubled[width:], least[-1][:-width], out=doubled[width:])
        least.append(doubled)
    for level in reversed(range(len(least))):
        can_pass = at - 2**level + 1 >= floor
        can_pass &= least[level][np.where(can_pass, at, 0)] > limit
        at = np.where(can_pass, at - 2**level, at)
    found[open_rows] = at
    return found


def _halving(longest: int) -> list[int]:
    return [1 << bit for bit in reversed(range(longest.bit_length()))]
