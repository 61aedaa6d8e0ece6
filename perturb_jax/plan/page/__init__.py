"""A plan as one page for the browser."""
