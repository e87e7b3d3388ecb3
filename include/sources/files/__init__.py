"""Files as a source: folders of CSV and Parquet, on this machine or in an object store."""
