"""Runs attacks: cells, the runner, executors, the judge, and the folder of a run."""
