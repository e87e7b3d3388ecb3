"""What a customer, a product, an order, a refund, an event, a weather day and a price day are."""
