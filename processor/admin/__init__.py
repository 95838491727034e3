"""The processor's admin service: what the monitor's pages do with what is in the stores."""
