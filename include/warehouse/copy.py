"""Arrow tables into Postgres by COPY."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import Cursor, sql

ROWS_PER_CHUNK = 65_536
_FORMAT = arrow_csv.WriteOptions(include_header=False)


def copy_rows(cursor: Cursor, *, table: sql.Composable, columns: Sequence[str], rows: pa.Table) -> None:
    """Append `rows` to `table`, streaming, in chunks of `ROWS_PER_CHUNK`.

    Arrow writes nulls as nothing and text in quotes, which COPY reads as null and text; so an empty
    text stays an empty text.

    :param columns: the columns of `rows` to send, named alike in `table`.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, names)
    with cursor.copy(statement) as copy:
        for batch in rows.select(list(columns)).to_batches(max_chunksize=ROWS_PER_CHUNK):
            buffer = io.BytesIO()
            arrow_csv.write_csv(batch, buffer, _FORMAT)
            copy.write(buffer.getbuffer())
