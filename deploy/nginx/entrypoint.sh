#!/bin/sh
# Starts nginx before the gateway. It checks the settings, makes a certificate if none is given, and writes nginx.conf from the
# template beside this file. When the certificate or the gateway's address changes, nginx takes it up without a restart.
#
#   EDGE_LISTEN         port, or address:port                                8443
#   EDGE_UPSTREAM       host:port of the gateway, which speaks plain HTTP    gateway:8080
#   EDGE_TLS_DIR        folder of a given certificate: cert.pem, key.pem     /tls
#   EDGE_SELF_DIR       folder where a self-signed one is made otherwise     /var/tmp
#   EDGE_RUN_DIR        folder of nginx.conf and nginx's own files           /tmp
#   EDGE_ACCESS_LOG     file of the access log                               /dev/stdout
#   EDGE_WATCH_SECONDS  how often certificate and address are looked at      10
# Those that compose hands through, and the gateway's own, are in .env.example.
set -eu

# Debian has nginx where only root looks for programs.
PATH=$PATH:/usr/sbin
here=$(dirname "$0")
listen=${EDGE_LISTEN:-8443}
upstream=${EDGE_UPSTREAM:-gateway:8080}
tls_dir=${EDGE_TLS_DIR:-/tls}
self_dir=${EDGE_SELF_DIR:-/var/tmp}
run_dir=${EDGE_RUN_DIR:-/tmp}
access_log=${EDGE_ACCESS_LOG:-/dev/stdout}
watch_s=${EDGE_WATCH_SECONDS:-10}
name=${EDGE_NAME:-localhost}
hsts_s=${EDGE_HSTS_SECONDS:-0}
metrics=${EDGE_METRICS:-off}
requests_per_address=${EDGE_REQUESTS_PER_ADDRESS:-512}
max_body_bytes=${GATEWAY_MAX_BODY_BYTES:-33554432}
read_timeout_ms=${GATEWAY_READ_TIMEOUT_MS:-10000}
predict_timeout_ms=${GATEWAY_PREDICT_TIMEOUT_MS:-2000}
config=$run_dir/nginx.conf

say() {
  echo "edge: $*" >&2
}

fail() {
  say "$@"
  exit 1
}

# check NAME VALUE PATTERN EXPECTED: the whole of VALUE must be what the extended regular expression says.
check() {
  printf '%s\n' "$2" | grep -Eqx "$3" && [ "$(printf '%s\n' "$2" | wc -l)" -eq 1 ] || fail "$1=$2: expected $4"
}

check_settings() {
  number='[0-9]{1,10}'
  positive='[1-9][0-9]{0,9}'
  path='/[A-Za-z0-9_./-]*'
  port='([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'
  check EDGE_LISTEN "$listen" "([0-9.]+:|\\[[0-9a-f:]+\\]:)?$port" 'a port from 1 to 65535, or an address and a port'
  check EDGE_UPSTREAM "$upstream" "([A-Za-z0-9._-]+|\\[[0-9a-f:]+\\]):$port" 'host:port'
  check EDGE_TLS_DIR "$tls_dir" "$path" 'the absolute path of a folder, of letters, digits, _, ., - and /'
  check EDGE_SELF_DIR "$self_dir" "$path" 'the absolute path of a folder, of letters, digits, _, ., - and /'
  check EDGE_RUN_DIR "$run_dir" "$path" 'the absolute path of a folder, of letters, digits, _, ., - and /'
  check EDGE_ACCESS_LOG "$access_log" "$path" 'the absolute path of a file, of letters, digits, _, ., - and /'
  check EDGE_WATCH_SECONDS "$watch_s" '0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9])|[1-9][0-9]{0,4}(\.[0-9]{1,3})?' 'seconds, more than 0'
  check EDGE_NAME "$name" '[A-Za-z0-9.-]{1,64}' 'a host name or an IPv4 address'
  # Without a letter it is no host name.
  case $name in
    *[!0-9.]*) ;;
    *) check EDGE_NAME "$name" '[0-9]{1,3}(\.[0-9]{1,3}){3}' 'a host name or an IPv4 address' ;;
  esac
  check EDGE_HSTS_SECONDS "$hsts_s" "$number" 'seconds, or 0 for none'
  check EDGE_METRICS "$metrics" 'on|off' 'on or off'
  check EDGE_REQUESTS_PER_ADDRESS "$requests_per_address" '[1-9][0-9]{0,4}' 'a number from 1 to 99999'
  check GATEWAY_MAX_BODY_BYTES "$max_body_bytes" "$positive" 'bytes'
  check GATEWAY_READ_TIMEOUT_MS "$read_timeout_ms" "$positive" 'milliseconds'
  check GATEWAY_PREDICT_TIMEOUT_MS "$predict_timeout_ms" "$positive" 'milliseconds'
  check_folders
}

# /tls need not be there, which is the folder when EDGE_TLS_DIR is not set.
check_folders() {
  [ -z "${EDGE_TLS_DIR:-}" ] || [ -d "$tls_dir" ] || fail "EDGE_TLS_DIR=$tls_dir: expected a folder, and there is none"
  [ -d "$run_dir" ] && [ -w "$run_dir" ] || fail "EDGE_RUN_DIR=$run_dir: expected a folder in which user $(id -u) can write"
}

# Sets certificate and key: those that are given, or otherwise self-signed ones.
choose_certificate() {
  certificate=$tls_dir/cert.pem
  key=$tls_dir/key.pem
  if [ -e "$certificate" ] && [ -e "$key" ]; then
    [ -r "$certificate" ] && [ -r "$key" ] || fail "$certificate and $key: user $(id -u) must be able to read them"
    return
  fi
  [ ! -e "$certificate" ] || fail "$key is missing: it belongs to $certificate"
  [ ! -e "$key" ] || fail "$certificate is missing: it belongs to $key"
  certificate=$self_dir/edge-cert.pem
  key=$self_dir/edge-key.pem
  make_certificate
}

# A self-signed certificate is kept as long as it is for the same name and has a month to live.
make_certificate() {
  case $name in
    *[!0-9.]*) subject_kind=DNS ;;
    *) subject_kind=IP ;;
  esac
  # One that somebody else has put there is not shown.
  if [ -s "$key" ] && [ -O "$key" ] && [ "$(cat "$self_dir/edge-name" 2>/dev/null)" = "$name" ] &&
    openssl x509 -noout -checkend 2592000 -in "$certificate" >/dev/null 2>&1; then
    return
  fi
  new=$(mktemp -d "$self_dir/edge-new.XXXXXX" 2>/dev/null) ||
    fail "EDGE_SELF_DIR=$self_dir: expected a folder in which user $(id -u) can write"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj "/CN=$name" \
    -addext "subjectAltName=$subject_kind:$name,DNS:localhost,IP:127.0.0.1" \
    -keyout "$new/key" -out "$new/cert" 2>"$new/log" || fail "no certificate could be made: $(tail -n 1 "$new/log")"
  mv "$new/key" "$key"
  mv "$new/cert" "$certificate"
  printf '%s\n' "$name" >"$self_dir/edge-name"
  rm -r "$new"
  say "a self-signed certificate for $name was made in $self_dir: clients must be told to trust it"
}

# Sets the number of a worker's connections: 8192, or what the open files allow that a process may have.
count_connections() {
  ulimit -n "$(ulimit -H -n)" 2>/dev/null || true
  connections=$(ulimit -n)
  [ "$connections" != unlimited ] && [ "$connections" -lt 8256 ] || connections=8256
  connections=$((connections - 64))
}

write_config() {
  choose_certificate
  hsts=
  [ "$hsts_s" -eq 0 ] || hsts="max-age=$hsts_s"
  metrics_rule='return 404'
  [ "$metrics" = off ] || metrics_rule='proxy_pass http://gateway'
  sed -e "s|@RUN_DIR@|$run_dir|g" \
    -e "s|@ACCESS_LOG@|$access_log|g" \
    -e "s|@CONNECTIONS@|$connections|g" \
    -e "s|@LISTEN@|$listen|g" \
    -e "s|@NAME@|$name|g" \
    -e "s|@UPSTREAM@|$upstream|g" \
    -e "s|@CERTIFICATE@|$certificate|g" \
    -e "s|@KEY@|$key|g" \
    -e "s|@HSTS@|$hsts|g" \
    -e "s|@METRICS@|$metrics_rule|g" \
    -e "s|@REQUESTS_PER_ADDRESS@|$requests_per_address|g" \
    -e "s|@MAX_BODY_BYTES@|$max_body_bytes|g" \
    -e "s|@READ_TIMEOUT_MS@|$read_timeout_ms|g" \
    -e "s|@PATIENT_MS@|$((read_timeout_ms + predict_timeout_ms + 5000))|g" \
    "$here/nginx.conf.template" >"$config.new"
  mv "$config.new" "$config"
}

# What nginx reads only when it starts: certificates, and the addresses of the gateway's name (none: nothing is known of them).
marks() {
  addresses=$(getent ahosts "${upstream%:*}" | cut -d ' ' -f 1 | sort -u) || addresses=
  [ -n "$addresses" ] || return 1
  printf '%s\n' "$addresses"
  for file in "$tls_dir/cert.pem" "$tls_dir/key.pem" "$certificate" "$key"; do
    cksum "$file" 2>/dev/null || true
  done
}

# Ends with nginx, whose process id is $1. A configuration that nginx cannot use leaves the old one as it is.
watch() {
  seen=$(marks) || seen=
  while sleep "$watch_s" && kill -0 "$1" 2>/dev/null; do
    now=$(marks) || continue
    if [ "$now" != "$seen" ]; then
      seen=$now
      if (write_config) && nginx -e stderr -t -q -c "$config"; then
        kill -HUP "$1"
        say "a changed certificate or address of the gateway is in use"
      else
        say "the changed certificate or address cannot be used, and the old one stays"
      fi
    fi
  done
}

umask 077
command -v nginx >/dev/null || fail "there is no nginx: install it (Debian: apt-get install nginx)"
check_settings
count_connections
write_config
if [ "${1:-}" = check ]; then
  exec nginx -e stderr -t -c "$config"
fi
watch $$ &
exec nginx -e stderr -c "$config" -g 'daemon off;'
