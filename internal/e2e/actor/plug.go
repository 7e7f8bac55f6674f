package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"os"
	"time"
)

// plug puts what it reads into a file of its own life, and acknowledges it some time after if FTFUSE_ACK asks for that.
func plug(dir string) int {
	out, err := os.Create(fmt.Sprintf("%s/%d.%d", dir, time.Now().UnixNano(), os.Getpid()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var acks *os.File
	if os.Getenv("FTFUSE_ACK") == "3" {
		acks = os.NewFile(3, "acknowledgements")
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	for lines := 0; ; {
		batch, err := in.ReadBytes('\n')
		for err == nil && in.Buffered() > 0 {
			var more []byte
			more, err = in.ReadBytes('\n')
			batch = append(batch, more...)
		}
		lines += bytes.Count(batch, []byte("\n"))
		if _, werr := out.Write(batch); werr != nil {
			fmt.Fprintln(os.Stderr, werr)
			return 1
		}
		if acks != nil {
			time.Sleep(time.Duration(rand.Intn(3)) * time.Millisecond) // to be killed between the two
			fmt.Fprintln(acks, lines)
		}
		if err == io.EOF {
			return 0
		}
		if err != nil {
			return 1
		}
	}
}
