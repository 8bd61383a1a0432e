"""Learned re-scoring of a detector's and a sequence model's events, fitted on other matches than it is used on."""
