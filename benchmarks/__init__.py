"""Benchmarks: each figure beside what a user would type instead, in the same run."""
