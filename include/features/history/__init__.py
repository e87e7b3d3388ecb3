"""What was known at an instant: joins in the database, from the mirror, and training sets."""
