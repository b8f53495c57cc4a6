"""Benchmarks: one command each, on data that is fetched and never shipped. Not part of the distribution."""
