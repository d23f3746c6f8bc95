"""Pictures: `overlay` (a heatmap over its slice, for serving) and `figures` (matplotlib)."""
