"""What is defined: entities, views, features, services, their versions and what is asked for of them."""
