"""What stands between the services: what an event is, which topics exist, how to append and read."""
