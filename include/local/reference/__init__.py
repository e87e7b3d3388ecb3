"""Pages of the documentation that are written from the code and from the comments of the database."""
