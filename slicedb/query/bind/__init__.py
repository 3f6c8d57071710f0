"""Bind a parsed query to the schema."""
