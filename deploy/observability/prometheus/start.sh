#!/bin/sh
# Starts Prometheus with the files of this folder, keeps exemplars, and adds to the last job of prometheus.yml, that of the gateway, what the
# gateway's settings ask for:
# - GATEWAY_TLS_CERT is set: HTTPS. The certificate is for the name that clients use, not for the one in this network.
# - GATEWAY_METRICS_KEY=on: the key in METRICS_KEY_FILE, a file with nothing else in it.
set -eu

config=${PROMETHEUS_CONFIG_DIR:-/tmp}
cp "$(dirname "$0")"/*.yml "$config/"
if [ -n "${GATEWAY_TLS_CERT:-}" ]; then
  printf '    scheme: https\n    tls_config: { insecure_skip_verify: true }\n' >>"$config/prometheus.yml"
fi
if [ "${GATEWAY_METRICS_KEY:-off}" = on ]; then
  printf '    authorization: { credentials_file: %s }\n' "${METRICS_KEY_FILE:-/metrics_key/metrics.key}" >>"$config/prometheus.yml"
fi
exec prometheus --config.file="$config/prometheus.yml" --storage.tsdb.path="${PROMETHEUS_DATA_DIR:-/prometheus}" \
  --enable-feature=exemplar-storage "$@"
