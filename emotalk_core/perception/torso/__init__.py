"""What lies behind the head: clean plate, and torso with the head removed and filled."""
