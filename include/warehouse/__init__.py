"""Keep it: connections, migrations, COPY and UPSERT, receipts."""
