"""Scoring on accelerators: many candidates, selections and graphs at once, on one device or several."""
