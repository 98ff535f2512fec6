"""A small kubelet and its node: Pods of rendered manifests run as processes in namespaces. README.md says what is mapped."""
