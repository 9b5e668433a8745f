"""What a leaf accesses, and when."""
