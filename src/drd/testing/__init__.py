"""Public fakes, and one conformance suite per socket.

The fakes keep the whole contract, so a test that passes with one says something. The suites are
plain functions without a test framework: ``drctl doctor`` runs them against the operator's bucket.
"""
