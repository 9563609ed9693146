// Command edgelet plays ioFog's edgelet on the lab's hosts, as far as images go: its command line, its API
// over a socket that only root may open, and by containerd's client the very calls that the real one makes,
// so that what containerd does with a bad archive is what it does on an edge host.
//
// The sources of its shapes, codes and rules are the public documents and sources of eclipse-iofog/edgelet
// (docs/cli, docs/edgelet/edgelet-api-v1-openapi.yaml); nothing of them is copied. What the real one does not
// have is under "edgelet lab", for the lab's own use.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

const (
	version   = "1.0.3-lab"
	apiSocket = "/run/edgelet/edgelet.sock"
	// What the real one calls itself in every answer.
	engineName = "edgelet"
)

// failure is an error with one of the API's codes.
type failure struct{ code, message string }

func (f *failure) Error() string { return f.message }

const (
	invalidArgument   = "INVALID_ARGUMENT"
	unauthorized      = "UNAUTHORIZED"
	notFound          = "NOT_FOUND"
	daemonUnavailable = "DAEMON_UNAVAILABLE"
	internal          = "INTERNAL"
)

// exits are the real one's exit codes; everything else is 1.
var exits = map[string]int{
	invalidArgument:   2,
	unauthorized:      3,
	"FORBIDDEN":       3,
	notFound:          4,
	"CONFLICT":        5,
	"NOT_IMPLEMENTED": 6,
	daemonUnavailable: 10,
}

// options are the flags of all commands; the real one takes them anywhere, too.
type options struct {
	output, socket, timeout string
	file, mode, cgroup      string
	showVersion, detach     bool
	quiet, verbose, debug   bool
	noColor                 bool
	words, after            []string // before and after a lone --
}

func main() {
	parsed, err := parse(os.Args[1:])
	if err == nil {
		err = dispatch(parsed)
	}
	var ended *exitStatus
	if errors.As(err, &ended) {
		os.Exit(ended.code)
	}
	os.Exit(report(err))
}

// exitStatus is a container's own, passed on.
type exitStatus struct{ code int }

func (e *exitStatus) Error() string { return fmt.Sprintf("exit %d", e.code) }

// report writes an error to the standard error, as Error[CODE]: message, and gives the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	failed := &failure{internal, err.Error()}
	errors.As(err, &failed)
	fmt.Fprintf(os.Stderr, "Error[%s]: %s\n", failed.code, failed.message)
	if code, known := exits[failed.code]; known {
		return code
	}
	return 1
}

func parse(arguments []string) (*options, error) {
	parsed := &options{}
	if lone := slices.Index(arguments, "--"); lone >= 0 {
		arguments, parsed.after = arguments[:lone], arguments[lone+1:]
	}
	flags := flag.NewFlagSet("edgelet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, text := range []struct {
		value       *string
		long, short string
		otherwise   string
	}{
		{&parsed.output, "output", "o", "human"},
		{&parsed.file, "file", "f", ""},
		{&parsed.mode, "mode", "m", ""},
		{&parsed.socket, "socket", "", apiSocket},
		{&parsed.timeout, "timeout", "", ""},
		{&parsed.cgroup, "cgroup", "", ""},
	} {
		flags.StringVar(text.value, text.long, text.otherwise, "")
		if text.short != "" {
			flags.StringVar(text.value, text.short, text.otherwise, "")
		}
	}
	for name, value := range map[string]*bool{
		"version": &parsed.showVersion, "detach": &parsed.detach, "quiet": &parsed.quiet,
		"verbose": &parsed.verbose, "debug": &parsed.debug, "no-color": &parsed.noColor,
	} {
		flags.BoolVar(value, name, false, "")
	}
	for rest := arguments; len(rest) > 0; {
		if err := flags.Parse(rest); err != nil {
			return nil, err
		}
		if rest = flags.Args(); len(rest) > 0 {
			parsed.words, rest = append(parsed.words, rest[0]), rest[1:]
		}
	}
	if !slices.Contains([]string{"human", "json", "yaml"}, parsed.output) {
		return nil, &failure{invalidArgument, fmt.Sprintf("output format %q is none of human, json, yaml", parsed.output)}
	}
	return parsed, nil
}

// patience is how long a load is waited for: the real one's 30 minutes, or --timeout.
func (o *options) patience() time.Duration {
	if given, err := time.ParseDuration(o.timeout); err == nil && given > 0 {
		return given
	}
	return 30 * time.Minute
}

func dispatch(o *options) error {
	word := func(number int) string {
		if number < len(o.words) {
			return o.words[number]
		}
		return ""
	}
	switch word(0) {
	case "daemon":
		return serve(o)
	case "image":
		return imageCommand(o, word(1), o.words[min(2, len(o.words)):])
	case "system":
		return systemCommand(o, word(1))
	case "version":
		fmt.Println(version)
		return nil
	case "lab":
		return labCommand(o, word(1), o.words[min(2, len(o.words)):])
	case "":
		if o.showVersion {
			return systemCommand(o, "version")
		}
	}
	return fmt.Errorf("unknown command %q; the lab's edgelet has daemon, image, system, version", word(0))
}
