"""HTTP in: protocols become canonical events, and events become durable."""
