package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// labCommand is what the lab asks, and no edgelet has: the containers are started as edgelet starts them, by
// its containerd's CRI, and asked of containerd itself and not of the daemon.
func labCommand(o *options, name string, words []string) error {
	if name == "scheduled-prune" {
		answer, err := (&apiClient{socket: o.socket}).ask("POST", "/v1/lab/scheduled-prune", nil)
		if err != nil {
			return err
		}
		return printJSON(answer["removed"])
	}
	client, err := connect()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	images, runtime := &imageStore{client}, newCRI(client)
	switch name {
	case "run", "create":
		if len(words) != 1 {
			return errors.New("which image?")
		}
		one := sandboxed{image: words[0], command: o.after, cgroup: o.cgroup, create: name == "create", detach: o.detach}
		return runtime.run(ctx, one)
	case "names":
		groups, err := images.all(ctx)
		if err != nil {
			return err
		}
		for _, group := range groups {
			for _, each := range group.names {
				fmt.Println(each, group.digest())
			}
		}
		return nil
	case "stop":
		return runtime.removeAll(ctx)
	case "empty":
		return errors.Join(runtime.removeAll(ctx), images.empty(ctx))
	}
	return fmt.Errorf("unknown command %q: edgelet lab run, create, stop, names, empty, scheduled-prune", name)
}

// empty deletes every image but the one that sandboxes are made of.
func (s *imageStore) empty(ctx context.Context) error {
	groups, err := s.all(ctx)
	if err != nil {
		return err
	}
	for _, group := range groups {
		if slices.Contains(group.names, pauseImage) {
			continue
		}
		for _, name := range group.names {
			err = errors.Join(err, s.delete(ctx, name))
		}
	}
	return err
}
