"""The Qwen-Image-Edit models, on diffusers' classes."""
