"""Decides and drives."""
