package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"e2e/echopb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	_ "google.golang.org/grpc/health" // the client's side of it, which grpc-go has only where it is imported
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callLimit bounds one call of a channel; none waits for the channel to be ready.
const callLimit = 10 * time.Second

// everywhere goes with all that a channel sends, its own health checks included.
type everywhere map[string]string

func (e everywhere) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return e, nil
}

func (everywhere) RequireTransportSecurity() bool { return false }

// healthy has a channel that asks for the health of a service and calls only where that serves (gRFC A17). It prints
// `STATE ...` whenever the channel is in another state, and for each line of standard input makes that many calls, one
// after the other, and prints how many were lost.
func healthy(args []string) error {
	var to target
	var service, token string
	var always bool
	set := flag.NewFlagSet("healthy", flag.ExitOnError)
	to.flags(set)
	set.StringVar(&service, "service", "", "whose health is asked for")
	set.StringVar(&token, "token", "", "`hub-token` of the calls")
	set.BoolVar(&always, "token-everywhere", false, "the token goes with health checks, too")
	set.Parse(args)
	config := fmt.Sprintf(
		`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": %q}}`, service)
	options := []grpc.DialOption{grpc.WithDefaultServiceConfig(config)}
	if always {
		options = append(options, grpc.WithPerRPCCredentials(everywhere{"hub-token": token}))
		token = ""
	}
	conn, err := to.dial(options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	go tellStates(conn)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		calls, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		callSeveral(echopb.NewEchoClient(conn), token, calls)
	}
	return lines.Err()
}

func tellStates(conn *grpc.ClientConn) {
	for {
		state := conn.GetState()
		fmt.Println("STATE", state)
		if state == connectivity.Idle {
			conn.Connect()
		}
		if !conn.WaitForStateChange(context.Background(), state) {
			return
		}
	}
}

func callSeveral(client echopb.EchoClient, token string, calls int) {
	lost, why := 0, map[string]string{}
	for range calls {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "hub-token", token)
		}
		if _, err := client.Unary(ctx, &echopb.Message{}); err != nil {
			lost++
			why[status.Code(err).String()] = err.Error()
		}
		cancel()
	}
	told, _ := json.Marshal(map[string]any{"calls": calls, "lost": lost, "why": why})
	fmt.Println(string(told))
}

// listHealth asks how all services are, and prints how each is, or with which code it was refused and why.
func listHealth(args []string) error {
	var to target
	var token string
	set := flag.NewFlagSet("list-health", flag.ExitOnError)
	to.flags(set)
	set.StringVar(&token, "token", "", "`hub-token` of the call")
	set.Parse(args)
	conn, err := to.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "hub-token", token)
	}
	list, err := grpc_health_v1.NewHealthClient(conn).List(ctx, &grpc_health_v1.HealthListRequest{})
	statuses := map[string]string{}
	for service, told := range list.GetStatuses() {
		statuses[service] = told.GetStatus().String()
	}
	told, _ := json.Marshal(map[string]any{
		"code": status.Code(err).String(), "why": status.Convert(err).Message(), "statuses": statuses})
	fmt.Println(string(told))
	return nil
}
