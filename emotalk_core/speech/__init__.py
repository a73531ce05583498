"""Sound to features, text to sound, and how far sound and lips are apart."""
