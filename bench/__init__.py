"""Benches: what the collector and the aggregator do beside a bare reference in the same run."""
