"""Metrics, motion statistics, reports (paper Sec. 4.2-4.3)."""
