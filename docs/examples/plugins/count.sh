#!/bin/sh
# Counts lines by their first word, and says how many when its input ends. FTFUSE_FORMAT: raw.
#   command: [/usr/local/lib/ftfuse/count.sh]
#   stdout: journal
set -eu
awk '{ n[$1]++ } END { for (w in n) print w, n[w] }' | sort
