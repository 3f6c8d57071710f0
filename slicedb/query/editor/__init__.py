"""What an editor of query texts asks: what is wrong, and what may stand at a place."""
