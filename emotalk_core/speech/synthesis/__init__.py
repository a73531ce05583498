"""Text in, speech out: engines behind one interface, and the sentences that the project speaks."""
