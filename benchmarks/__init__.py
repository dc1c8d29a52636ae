"""Benchmarks beside their alternatives, as ratios of one run: `python -m benchmarks [NAME …] [--full]`."""
