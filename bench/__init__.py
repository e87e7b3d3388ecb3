"""Ratios against peers and floors, each measured beside what it is compared with, in one run."""
