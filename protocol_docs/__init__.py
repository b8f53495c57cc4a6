"""What agents agree on."""
