"""What an episode should come to: as numbers, as a picture, and through the goal API."""
