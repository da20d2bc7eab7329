"""What is seen and felt: cameras, depth, touch and vectors, read only where they are asked for."""
