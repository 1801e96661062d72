"""The picture: ModernGL, one mesh arena, two presets."""
