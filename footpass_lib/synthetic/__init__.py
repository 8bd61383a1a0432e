"""Synthetic matches in FOOTPASS's own file format: played, filmed, tracked and written by code."""
