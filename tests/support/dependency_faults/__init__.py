"""How each dependency of the platform is brought into each bad state on the real engine, and out of it again."""
