"""What is made of a query: texts of other queries, its counts, and its pages."""
