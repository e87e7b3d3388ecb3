"""What each customer may like to buy next, and what is bought together: evaluated over time, published as tables."""
