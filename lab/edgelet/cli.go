package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// pollEvery is how often the real one asks whether a load has ended.
const pollEvery = 500 * time.Millisecond

func imageCommand(o *options, name string, words []string) error {
	api := &apiClient{socket: o.socket}
	switch name {
	case "ls":
		return listImages(o, api)
	case "load":
		return loadImage(o, api)
	case "rm":
		return removeImage(o, api, words)
	case "prune":
		return pruneImages(o, api, words)
	}
	return fmt.Errorf("unknown command %q; the lab's edgelet has image load, ls, prune, rm", "image "+name)
}

func listImages(o *options, api *apiClient) error {
	answer, err := api.ask("GET", "/v1/images", nil)
	if err != nil {
		return err
	}
	if o.output != "human" {
		return printJSON(answer)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "REPOSITORY\tTAG\tIMAGE ID\tDISK USAGE\tCONTENT SIZE\tIN USE")
	items, _ := answer["items"].([]any)
	for _, item := range items {
		image, _ := item.(map[string]any)
		row := make([]string, 0, 6)
		for _, key := range []string{"repository", "tag", "shortId", "diskUsageHuman", "contentSizeHuman", "inUse"} {
			row = append(row, fmt.Sprint(image[key]))
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

func loadImage(o *options, api *apiClient) error {
	path := strings.TrimSpace(o.file)
	if path == "" {
		return &failure{invalidArgument, "path is required"}
	}
	begun, err := api.ask("POST", "/v1/images:load", map[string]string{"path": path})
	if err != nil {
		return err
	}
	end := time.Now().Add(o.patience())
	for {
		state, err := api.ask("GET", fmt.Sprintf("/v1/images:load/%v", begun["operationId"]), nil)
		if err != nil {
			return err
		}
		switch state["status"] {
		case "failed":
			return fmt.Errorf("%v", state["error"])
		case "succeeded":
			return o.print(state, fmt.Sprintf("loaded %v image(s) (engine=%v)", state["count"], state["engine"]))
		}
		if time.Now().After(end) {
			// The daemon goes on; only the waiting ends.
			return errors.New("operation polling timed out")
		}
		time.Sleep(pollEvery)
	}
}

func removeImage(o *options, api *apiClient, words []string) error {
	if len(words) != 1 {
		return fmt.Errorf("accepts 1 arg(s), received %d", len(words))
	}
	answer, err := api.ask("POST", "/v1/images:remove", map[string]string{"selector": words[0]})
	if err != nil {
		return err
	}
	return o.print(answer, fmt.Sprintf("removed %v (engine=%v)", answer["removed"], answer["engine"]))
}

func pruneImages(o *options, api *apiClient, words []string) error {
	mode := o.mode
	if mode == "" && len(words) > 0 {
		mode = words[0]
	}
	answer, err := api.ask("POST", "/v1/images:prune?mode="+mode, nil)
	if err != nil {
		return err
	}
	return o.print(answer, fmt.Sprintf("pruned %v dangling image(s)", answer["deletedCount"]))
}

func systemCommand(o *options, name string) error {
	api := &apiClient{socket: o.socket}
	switch name {
	case "info", "status":
		answer, err := api.ask("GET", "/v1/system/"+name, nil)
		if err != nil {
			return err
		}
		if o.output != "human" {
			return printJSON(answer)
		}
		for key, value := range answer {
			fmt.Printf("%s: %v\n", key, value)
		}
		return nil
	case "version":
		// An absent daemon is no error here: the command's own version is known.
		answer, err := api.ask("GET", "/v1/system/version", nil)
		if err != nil {
			answer = nil
		}
		own := map[string]any{"version": version, "buildTime": "unknown", "gitCommit": "unknown"}
		if o.output != "human" {
			both := map[string]any{"cli": own}
			if answer != nil {
				both["daemon"] = answer
			}
			return printJSON(both)
		}
		fmt.Printf("cli.version: %s\n", version)
		if answer == nil {
			fmt.Println("daemon: unavailable")
		} else {
			fmt.Printf("daemon.version: %v\n", answer["version"])
		}
		return nil
	}
	return fmt.Errorf("unknown command %q; the lab's edgelet has system info, status, version", "system "+name)
}

// print gives the whole answer where JSON is wanted, else one line, which the real one writes to the standard
// error so that the standard output stays for data.
func (o *options) print(answer map[string]any, line string) error {
	if o.output != "human" {
		return printJSON(answer)
	}
	fmt.Fprintln(os.Stderr, line)
	return nil
}

func printJSON(value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		fmt.Println(string(text))
	}
	return err
}
