// Command guest is an actor in Go: a waPC module made with the standard compiler, without any SDK.
//
// Each call runs in an instance of its own, so there is nothing to synchronize and nothing to free.
package main

import (
	"fmt"
	"strings"
)

const (
	handleRequest = "HttpServer.HandleRequest"
	callPrefix    = "/call/"
)

// A reactor has no main function of its own: the host calls what `wapc.go` exports.
func main() {}

// handle answers one call; the text of an error goes to the caller as it is.
func handle(operation string, argument []byte) ([]byte, error) {
	if operation != handleRequest {
		return nil, fmt.Errorf("unknown operation `%s`", operation)
	}
	asked, err := decodeRequest(argument)
	if err != nil {
		return nil, err
	}
	answered, err := answer(asked)
	if err != nil {
		return nil, err
	}
	return answered.encode(), nil
}

func answer(asked request) (response, error) {
	if asked.path == "/fail" {
		return response{}, fmt.Errorf("failed as asked")
	}
	if actor, found := strings.CutPrefix(asked.path, callPrefix); found {
		said, err := hostCall("", actor, "Greet", asked.body)
		if err != nil {
			return response{status: 502, body: []byte(err.Error())}, nil
		}
		return response{status: 200, body: said}, nil
	}
	name := asked.header["x-name"]
	if name == "" {
		name = "nobody"
	}
	line := fmt.Sprintf("go: %s %s?%s from %s\n", asked.method, asked.path, asked.query, name)
	return response{status: 200, body: append([]byte(line), asked.body...)}, nil
}
