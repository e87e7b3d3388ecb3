"""What is known now: stores, publication, reads and push."""
