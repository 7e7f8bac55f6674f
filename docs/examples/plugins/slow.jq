# Requests that took a second or longer, as one line each, from applications that write JSON. FTFUSE_FORMAT: json.
#   command: [/usr/bin/jq, --unbuffered, -rf, /usr/local/lib/ftfuse/slow.jq]
#   stdout: file
#   stdout_file: /var/log/slow.log
select(.data)
| . as $record
| (.data | fromjson? // empty)
| select(type == "object" and (.seconds // 0) >= 1)
| "\($record.time) \($record.host) \(.url) \(.seconds)"
