"""Every customer's score at a snapshot, and whether scores can still be trusted."""
