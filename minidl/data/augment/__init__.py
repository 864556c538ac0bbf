"""Images changed at random in training, and looked at several times in prediction."""
