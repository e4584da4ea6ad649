"""Benchmarks: each figure beside what a user would type instead, in the same run.

    python -m benchmarks [NAME…] [--quick] [--json FILE] [--list] [--resume]

Each benchmark is one module with ``run(place) -> Result``; :mod:`benchmarks.suite` names them. What is
compared runs in turn, A B A B, and a ratio is made of two measurements of one round.
"""
