"""Tables on disk: those of table_files.py."""

from avbalance.table_files import read_parquet, write_csv, write_parquet, write_text

__all__ = ["read_parquet", "write_csv", "write_parquet", "write_text"]
