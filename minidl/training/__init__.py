"""A training: the `Trainer` and its step, the state that is saved and resumed, callbacks, progress, history."""
