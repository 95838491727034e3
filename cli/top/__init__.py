"""The live view of `polystream top`."""
