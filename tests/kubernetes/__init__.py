"""Tests of deploy/kubernetes: the manifests as kustomize renders them."""
