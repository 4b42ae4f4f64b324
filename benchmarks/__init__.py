"""Every figure of docs/performance.md comes from a script of this folder: `python -m benchmarks` runs them all."""
