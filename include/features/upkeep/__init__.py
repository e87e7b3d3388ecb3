"""Statistics, expectations, retention and order of what is kept."""
