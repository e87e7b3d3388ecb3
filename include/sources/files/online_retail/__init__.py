"""The layout of Online Retail: one file of invoice lines, from which a whole shop follows."""
