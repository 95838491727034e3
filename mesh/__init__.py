"""What every service shares: settings, contracts, codec, telemetry, errors."""
