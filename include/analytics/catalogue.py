"""The catalogue: a mart about all tables and columns, its own among them."""

from __future__ import annotations

from include.analytics.mart import Mart

MARTS_OF_CATALOGUE: tuple[Mart, ...] = (
    Mart(
        name="data_inventory",
        key=("schema_name", "table_name", "column_name"),
        inputs=(
            "analytics.lineage",
            "analytics.mart_states",
            "analytics.owners",
            "features.built_snapshots",
            "features.failed_expectations",
            "features.statistics",
            "features.view_versions",
            "ops.quality_results",
            "ops.receipts",
            "quarantine.rejected_rows",
        ),
    ),
)
