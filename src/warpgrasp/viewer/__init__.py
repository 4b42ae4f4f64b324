"""The web viewer and exports."""
