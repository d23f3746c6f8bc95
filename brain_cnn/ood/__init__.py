"""What is familiar: the gate as it is served, and how it is fitted."""
