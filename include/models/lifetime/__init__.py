"""How often customers will buy again, for how much, and what that is worth today."""
