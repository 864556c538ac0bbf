"""Whole networks that are more than a chain of layers."""
