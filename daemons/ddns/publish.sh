#!/bin/sh
# Tells the admin's program what changed in the zone. Usage: ddns-publish SPOOL PROGRAM [ARGUMENT]...
# Run in the zone's folder, by lares-ddns-publish.service or by a receiver in a terminal. SPOOL/changes is the
# receiver's, which replaces it whole; everything else there is this program's. A change leaves SPOOL only after
# PROGRAM has succeeded, so that one may come twice and none is lost. Small on purpose: it stands between a packet and
# the answer of tinydns.
set -eu

spool=$1
shift
running=$spool/running
taken=$spool/taken

# Of two files one line a record (name and type): from the first line's "from" to the last line's "to".
merge() {
    awk -F ',"from":|,"to":' '
        /"name":.*,"from":.*,"to":/ {
            match($1, /"name":/)
            key = substr($1, RSTART)
            if (!(key in from)) { order[++count] = key; from[key] = $2 }
            head[key] = $1
            to[key] = $3
        }
        END {
            for (i = 1; i <= count; i++) {
                key = order[i]
                print head[key] ",\"from\":" from[key] ",\"to\":" to[key]
            }
        }' "$@"
}

# What an earlier run did not get done comes first.
take() {
    [ -e "$taken" ] || return 0
    if [ -e "$running" ]; then
        merge "$running" "$taken" > "$spool/merged"
        sync "$spool/merged"
        mv "$spool/merged" "$running"
        rm "$taken"
    else
        mv "$taken" "$running"
    fi
}

if [ $# -eq 0 ]; then
    echo 'no hook is set: set Hook= in /etc/lares/ddns.conf, then run lares ddns setup ZONE' >&2
    exit 6
fi
take
if [ -e "$running" ] && [ -e "$spool/changes" ]; then
    mv "$spool/changes" "$taken"
    take
elif [ -e "$spool/changes" ]; then
    mv "$spool/changes" "$running"
fi
# Without changes it was started by hand, for a zone that was edited.
if [ -e "$running" ]; then
    "$@" < "$running"
    rm "$running"
else
    "$@" < /dev/null
fi
