"""What a bound text consists of: relations, their columns, scores, and edits of the text."""
