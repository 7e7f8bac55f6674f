package journald

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// Field appends one field: KEY=value in a line, or where the value has an LF, KEY, its length and the bytes as they are
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). journald takes any bytes in both.
func Field[T string | []byte](b []byte, key string, value T) []byte {
	b = append(b, key...)
	if bytes.IndexByte([]byte(value), '\n') < 0 {
		b = append(b, '=')
		return append(append(b, value...), '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}

// Some is Field for a value that there may not be.
func Some(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return Field(b, key, value)
}

// Number is Field for a number.
func Number(b []byte, key string, v uint64) []byte {
	b = append(append(b, key...), '=')
	return append(strconv.AppendUint(b, v, 10), '\n')
}
