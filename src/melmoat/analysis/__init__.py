"""Reads results: the rates of a run, comparisons and the audit."""
