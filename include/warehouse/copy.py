"""Arrow tables into Postgres by binary COPY."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import Cursor, sql

ROWS_PER_CHUNK = 65_536


def copy_rows(
    cursor: Cursor,
    *,
    table: sql.Composable,
    columns: Sequence[str],
    rows: pa.Table,
    json_columns: Collection[str] = (),
) -> None:
    """Append `rows` to `table`, streaming, in chunks of `ROWS_PER_CHUNK`.

    Binary COPY converts nothing: each column of `table` must be of the type that its Arrow type stands for (int64 is
    bigint, timestamp in UTC is timestamptz, 16 bytes are uuid).

    :param columns: the columns of `rows` to send, named alike in `table`.
    :param json_columns: those that hold JSON as text and go to jsonb.
    """
    chosen = rows.select(list(columns))
    encoders = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in chosen.schema}
    for name in json_columns:
        encoders[name] = StringEncoderBuilder.new_with_output(chosen.schema.field(name), Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(chosen.schema, encoders)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, names)) as copy:
        copy.write(encoder.write_header())
        for batch in chosen.to_batches(max_chunksize=ROWS_PER_CHUNK):
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
