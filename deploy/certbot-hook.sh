#!/bin/sh
# Copy a certificate of certbot's, once it is renewed, to where the relay may read it. The relay loads it by itself within 5 s.
#
#   install -m 0755 deploy/certbot-hook.sh /etc/letsencrypt/renewal-hooks/deploy/call-relay
#
# certbot says which certificate it was in RENEWED_LINEAGE: /etc/letsencrypt/live/NAME
set -eu

directory=${CALL_RELAY_TLS:-/etc/call-relay/tls}
name=${CALL_RELAY_NAME:-calls.example.org}
[ "${RENEWED_LINEAGE##*/}" = "$name" ] || exit 0
umask 077
for file in fullchain.pem privkey.pem; do
    # Renamed into place, so that a half-written file is never read. The group is that of the directory: call-relay.
    cp "$RENEWED_LINEAGE/$file" "$directory/.$file.new"
    chgrp --reference="$directory" "$directory/.$file.new"
    chmod 0640 "$directory/.$file.new"
    mv "$directory/.$file.new" "$directory/$file"
done
