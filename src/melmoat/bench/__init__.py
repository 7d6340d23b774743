"""What runs: cells, the runner, executors, the judge, and the folder that a run writes."""
