"""Vendors' SDKs, unmodified, against a real collector."""
