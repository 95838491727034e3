// The benchmark's load: a closed loop of requests over HTTP/1.1 or of gRPC calls over HTTP/2.
//
// Reads what to send as JSON from standard input, and writes what came of it as JSON to standard output. A request is
// sent as soon as the one before it, on the same connection or stream, has its answer. It does as little for each as
// it can, so that the processors are left to what is measured.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What to send. Bodies are base64, as encoding/json has bytes.
type order struct {
	Address  string      `json:"address"` // host:port
	Path     string      `json:"path"`
	Headers  [][2]string `json:"headers"`
	Bodies   [][]byte    `json:"bodies"` // one a sender, in turn
	HTTP2    bool        `json:"http2"`  // one connection a body; else one connection a stream
	Requests int64       `json:"requests"`
	Streams  int         `json:"streams"`
	TimeoutS float64     `json:"timeout_s"` // for everything together
}

// What came of it.
type outcome struct {
	Requests int64   `json:"requests"`
	Accepted int64   `json:"accepted"` // a 2xx status, and grpc-status 0 over gRPC
	ElapsedS float64 `json:"elapsed_s"`
	P50Ms    float64 `json:"p50_ms"` // of the accepted ones
	P99Ms    float64 `json:"p99_ms"`
}

// One connection's share of a run.
type sender struct {
	order    *order
	body     []byte
	streams  int
	left     *atomic.Int64 // of all senders together
	deadline time.Time
	accepted int64
	taken    []time.Duration // of each request that was accepted
}

func (s *sender) next() bool { return s.left.Add(-1) >= 0 }

func (s *sender) answered(began time.Time, accepted bool) {
	if accepted {
		s.accepted++
		s.taken = append(s.taken, time.Since(began))
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	var given order
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail(err)
	}
	found, err := run(&given)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(given *order) (*outcome, error) {
	var left atomic.Int64
	left.Store(given.Requests)
	deadline := time.Now().Add(time.Duration(given.TimeoutS * float64(time.Second)))
	connections := given.Streams
	send := (*sender).sendHTTP1
	if given.HTTP2 {
		connections, send = len(given.Bodies), (*sender).sendHTTP2
	}
	senders := make([]*sender, connections)
	for number := range senders {
		senders[number] = &sender{
			order:    given,
			body:     given.Bodies[number%len(given.Bodies)],
			streams:  given.Streams / connections,
			left:     &left,
			deadline: deadline,
		}
	}
	began := time.Now()
	var ended sync.WaitGroup
	failures := make([]error, connections)
	for number, one := range senders {
		ended.Go(func() { failures[number] = send(one) })
	}
	ended.Wait()
	elapsed := time.Since(began)
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return summed(given, senders, elapsed), nil
}

func summed(given *order, senders []*sender, elapsed time.Duration) *outcome {
	found := &outcome{Requests: given.Requests, ElapsedS: elapsed.Seconds()}
	var taken []time.Duration
	for _, one := range senders {
		found.Accepted += one.accepted
		taken = append(taken, one.taken...)
	}
	slices.Sort(taken)
	if len(taken) > 0 {
		found.P50Ms = milliseconds(taken[len(taken)/2])
		found.P99Ms = milliseconds(taken[len(taken)*99/100])
	}
	return found
}

func milliseconds(taken time.Duration) float64 { return float64(taken) / float64(time.Millisecond) }
