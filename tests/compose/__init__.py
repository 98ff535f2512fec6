"""Tests of the images and of docker-compose.yml, on a real Docker engine."""
