#!/bin/sh
# Starts Prometheus with prometheus.yml, and adds to its last job, that of the gateway, what the gateway's settings ask for:
# - GATEWAY_TLS_CERT is set: HTTPS. The certificate is for the name that clients use, not for the one in this network.
# - GATEWAY_METRICS_KEY=on: the key in /keys/metrics.key, a file with nothing else in it.
set -eu

cp /etc/prometheus/gateway/*.yml /tmp/
if [ -n "${GATEWAY_TLS_CERT:-}" ]; then
  printf '    scheme: https\n    tls_config: { insecure_skip_verify: true }\n' >>/tmp/prometheus.yml
fi
if [ "${GATEWAY_METRICS_KEY:-off}" = on ]; then
  printf '    authorization: { credentials_file: /keys/metrics.key }\n' >>/tmp/prometheus.yml
fi
exec prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=/prometheus "$@"
