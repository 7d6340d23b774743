"""What reads results: figures of a run, comparisons and the audit."""
