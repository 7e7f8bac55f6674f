// Command ftfuse-sqlite receives lines from ftfuse senders into an SQLite database, each exactly once.
//
//	ftfuse-sqlite -listen 127.0.0.1:24747 -database lines.db
//
// The table lines has a row for each record, gaps one for whatever is missing, marks how far each sender's stream has been
// stored. A batch is one transaction of all three, so that kill -9 and power loss leave either all of a batch or nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"ftfuse/receiver"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("ftfuse-sqlite", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:24747", "address to listen on")
	database := flags.String("database", "lines.db", "file of the database")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := serve(ctx, *listen, *database, stderr); err != nil {
		fmt.Fprintln(stderr, "ftfuse-sqlite: error:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, listen, database string, stderr io.Writer) (err error) {
	store, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server, err := receiver.New(receiver.Options{Store: store})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "ftfuse-sqlite: listening on %v\n", ln.Addr())
	return server.Serve(ctx, ln)
}
