"""What a churn model reads: columns of a table as one matrix of 64-bit floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


class MissingInput(KeyError):
    """A table lacks a column that the model reads."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class InputColumns:
    """The columns that a model reads, in the order of its matrix.

    :param categories: per text column its values known from training; each is its position there as a number.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def matrix(self, rows: pa.Table) -> Matrix:
        """One row per row of the table; NaN where it is null, and for a text that training never saw.

        Each column lies in one piece, as it is in the table and as medians and bins of boostings look at it.

        :raises MissingInput: a column is not there; the text names it.
        """
        matrix = np.empty((len(rows), len(self.names)), order="F")
        for number, name in enumerate(self.names):
            place = rows.schema.get_field_index(name)
            if place < 0:
                raise MissingInput(
                    f"The rows have no column {name!r}, which the churn model reads. Ask for it by name."
                )
            matrix[:, number] = self._numbers(name, rows.column(place))
        return matrix

    def _numbers(self, name: str, column: pa.ChunkedArray) -> Vector:
        known = self.categories.get(name)
        if known is None:
            if column.type == pa.bool_() or pa.types.is_decimal(column.type):
                column = column.cast(pa.float64())
            return column.to_numpy()
        places = pc.index_in(column.cast(pa.string()), value_set=pa.array(known, pa.string()))
        return places.cast(pa.float64()).to_numpy()

    def __len__(self) -> int:
        return len(self.names)
