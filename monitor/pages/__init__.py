"""The monitor's pages: rendered here, kept live by server-sent events, in English and in Portuguese."""
