package receiver_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"ftfuse/receiver"
)

// A program that prints lines. After a crash it may print the last ones again.
func ExampleServer() {
	store, err := receiver.AtLeastOnce(func(ctx context.Context, b *receiver.Batch) error {
		for i := range b.Chunks {
			c := &b.Chunks[i]
			if c.Gap != nil {
				fmt.Printf("%s: missing: %v\n", c.Source.Host, c.Gap)
				continue
			}
			for r := range c.Records() {
				fmt.Printf("%s %s %d: %s", c.Source.Host, c.File.Path, c.Writer.UID, r.Data)
			}
		}
		return nil
	}, "") // or a file, for fewer lines twice
	if err != nil {
		log.Fatal(err)
	}
	server, err := receiver.New(receiver.Options{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // senders expect 24747
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // or signal.NotifyContext
	stop()                                                // when the program shall end
	fmt.Println(server.Serve(ctx, ln))
	// Output: <nil>
}

// Lines longer than a chunk come in pieces.
func ExampleChunk_Records() {
	c := receiver.Chunk{File: &receiver.File{Path: "a.log"}, Offset: 100, Data: []byte("one\ntwo\nthr"), Continued: true}
	for r := range c.Records() {
		fmt.Printf("%d %q %v\n", r.Offset, r.Data, r.Continued)
	}
	// Output:
	// 100 "one\n" false
	// 104 "two\n" false
	// 108 "thr" true
}
