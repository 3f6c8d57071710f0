"""Hot tables: the columns that queries ask for, loaded into DuckDB."""
