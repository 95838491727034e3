// Command kfake is a Kafka-protocol broker for tests: kfake PORT FOLDER [BROKERS].
//
// More than one of BROKERS are a cluster in one process, the others on ports that are free. It keeps its data in FOLDER, and stops on SIGTERM.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 || len(arguments) > 3 {
		return fmt.Errorf("usage: kfake PORT FOLDER [BROKERS]")
	}
	port, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	ports := []int{port}
	if len(arguments) > 2 {
		brokers, err := strconv.Atoi(arguments[2])
		if err != nil {
			return err
		}
		ports = append(ports, make([]int, brokers-1)...)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(len(ports)),
		kfake.Ports(ports...),
		kfake.DataDir(arguments[1]),
		// What is acknowledged is in the file: a test may kill it at any time.
		kfake.SyncWrites(),
	)
	if err != nil {
		return err
	}
	<-stop
	cluster.Close()
	return nil
}
