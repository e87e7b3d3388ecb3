"""The API: predictions, recommendations and features for other programs, over HTTP."""
