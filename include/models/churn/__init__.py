"""Who will not buy in the next 90 days: training set, training, evaluation, promotion."""
