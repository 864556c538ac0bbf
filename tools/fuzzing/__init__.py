"""Searches for inputs that do harm: targets, changes of inputs, and the search itself; `tools/fuzz.py` runs them."""
