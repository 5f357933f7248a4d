"""The process of a flow: how it starts, is watched, recovers and ends."""
