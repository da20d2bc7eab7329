"""An episode in words: how a sentence is written, and which objects a sentence denotes."""
