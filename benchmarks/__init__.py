"""Benchmarks of wsorigin beside its peers; see README.md."""
