"""Marts of the business: tables made of facts by one SQL file each, kept up day by day where that can be."""
