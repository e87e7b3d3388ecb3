"""Bring it in: the shop, its events, the weather and the market, over HTTP or from files."""
