"""Small networks that label the parts of a head, trained on the digital actor's exact truth."""
