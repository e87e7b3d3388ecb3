"""The replayed shop: an Online Retail file served as the shop it came from."""
