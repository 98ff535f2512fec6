"""What a gateway's rollouts mean for versions: a publication that is one, and no step that would break one."""
