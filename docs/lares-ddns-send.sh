#!/bin/sh
# Sends one packet of Lares' dynamic DNS from a machine without Node: POSIX sh, OpenSSL 3.0 or later, and an nc that
# knows -u. The format is docs/ddns-wire-format.md, the use of this script docs/ddns-shell-client.md. The secret key
# must stay out of arguments, variables and temporary files: it passes through pipes alone.
set -eu
[ $# -eq 3 ] || { echo "usage: ${0##*/} HOST PORT KEYFILE" >&2; exit 2; }
host=$1 port=$2 keyfile=$3
now=${LARES_NOW:-$(date +%s)} # whole seconds since 1970
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

# The key as OpenSSL reads it (PKCS#8 in DER): 16 fixed bytes, then the 32 of the seed, which are 43 letters and a =.
key() {
  printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'
  sed -n '1s/^\(.\{43\}\).*/\1=/p' <"$keyfile" | tr '_-' '/+' | openssl base64 -d -A
}
public() { key | openssl pkey -inform DER -pubout -outform DER | tail -c 32; }
id=$(public | openssl dgst -sha256 -binary | openssl base64 -A | tr '/+' '_-' | cut -c-28)

# The time as an IEEE-754 double: the highest bit of a whole number below 2^53 stands in place e; shifted to place 52,
# it adds the one that the exponent, 1023 + e, lacks here.
e=0
while [ $((now >> (e + 1))) != 0 ]; do e=$((e + 1)); done
double=$((((1022 + e) << 52) + (now << (52 - e))))
{
  printf %s "$id"
  for shift in 56 48 40 32 24 16 8 0; do printf "\\$(printf %03o $((double >> shift & 255)))"; done
} >"$folder/signed"

key | openssl pkeyutl -sign -rawin -in "$folder/signed" -inkey /dev/stdin -keyform DER >"$folder/signature"
cat "$folder/signed" "$folder/signature" >"$folder/packet"
nc -u -w1 "$host" "$port" <"$folder/packet" # from a file, so that it is one datagram
