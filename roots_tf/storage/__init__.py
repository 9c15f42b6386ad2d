"""What touches the disk: names and patterns, whole writes, locks, checked contents, formats."""
