"""Show: one renderer for tables, numbers, templates and charts."""
