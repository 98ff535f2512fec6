#!/bin/sh
# Starts Prometheus with the files of this folder, keeps exemplars, and adds to the last job of prometheus.yml, that of the gateway, what the
# gateway's settings ask for:
# - GATEWAY_TLS_CERT is set: HTTPS. The certificate is for the name that clients use, not for the one in this network.
# - GATEWAY_METRICS_KEY=on: the key in METRICS_KEY_FILE (/metrics_key/metrics.key), a file with nothing else in it.
# The configuration that it makes lies in PROMETHEUS_CONFIG_DIR (/tmp), and what Prometheus has seen in PROMETHEUS_DATA_DIR (/prometheus).
# Its arguments are Prometheus' own, such as --web.listen-address=127.0.0.1:9090.
set -eu

case ${GATEWAY_METRICS_KEY:-off} in
  on | off) ;;
  *)
    echo "prometheus: GATEWAY_METRICS_KEY=$GATEWAY_METRICS_KEY: expected on or off" >&2
    exit 1
    ;;
esac
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
