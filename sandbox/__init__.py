"""Compiles and runs generated handlers."""
