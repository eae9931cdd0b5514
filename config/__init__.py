"""What people write: settings, presets and the values that they may hold."""
