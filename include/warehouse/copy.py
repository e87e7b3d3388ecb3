"""Arrow tables into Postgres by binary COPY."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

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
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    json_columns: Collection[str] = (),
) -> None:
    """Append rows to `table`, batch by batch, at most `ROWS_PER_CHUNK` of them encoded at once.

    Binary COPY converts nothing: each column of `table` must be of the type that its Arrow type stands for (int64 is
    bigint, timestamp in UTC is timestamptz, 16 bytes are uuid).

    :param columns: the columns to send, named alike in `table`.
    :param schema: what all batches look like.
    :param json_columns: those that hold JSON as text and go to jsonb.
    """
    chosen = pa.schema([schema.field(name) for name in columns])
    encoders = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in chosen}
    for name in json_columns:
        encoders[name] = StringEncoderBuilder.new_with_output(chosen.field(name), Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(chosen, encoders)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, names)) as copy:
        copy.write(encoder.write_header())
        for batch in batches:
            sent = batch.select(list(columns))
            for start in range(0, sent.num_rows, ROWS_PER_CHUNK):
                copy.write(encoder.write_batch(sent.slice(start, ROWS_PER_CHUNK)))
        copy.write(encoder.finish())
