"""Questions to ask before a long training: are the gradients right, is the network sane, which learning rate."""
