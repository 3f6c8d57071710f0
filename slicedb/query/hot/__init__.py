"""Load the columns that queries ask for into DuckDB, and write the SQL over them."""
