"""Curation: from a raw collection to data that may be trusted; one module per verb."""
