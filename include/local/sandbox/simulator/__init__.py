"""The simulated shop: customers who buy and drop out after the BG/NBD story, with the truth known."""
