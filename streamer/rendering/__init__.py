"""Procedural clips with exact truth, for training and evaluation."""
