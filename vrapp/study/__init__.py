"""What is kept of a visit: the recorder process, the ring that feeds it, and the reading back."""
