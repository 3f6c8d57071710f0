"""The text of a query: what the user wrote, DuckDB's tree of it, parameters."""
