package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
)

const (
	settingsFile = "/var/lib/edgelet/settings.json"
	dataRoot     = "/var/lib/edgelet-containerd"
	// How often the disk is looked at.
	thresholdEvery = 30 * time.Minute
)

// settings are what the real one has in its configuration and from its Controller; read anew each time.
type settings struct {
	// Hours between two prunings; 0 for none.
	PruningFrequency int64 `json:"pruningFrequency"`
	// Percent: with less of the disk available, everything unused goes.
	AvailableDiskThreshold uint64 `json:"availableDiskThreshold"`
	// The images of the microservices that the Controller has configured for this host, as it spells them.
	Microservices []string `json:"microservices"`
}

func readSettings() (*settings, error) {
	read := &settings{AvailableDiskThreshold: 20}
	content, err := os.ReadFile(settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return read, nil
	}
	if err == nil {
		err = json.Unmarshal(content, read)
	}
	return read, err
}

// pruner is the scheduled pruning: by the hour, and where the disk is getting full.
type pruner struct{ images *imageStore }

func (p *pruner) run(ctx context.Context) {
	hours := int64(0)
	for {
		wait := thresholdEvery
		if hours > 0 {
			wait = min(wait, time.Duration(hours)*time.Hour)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if read, err := readSettings(); err == nil {
			hours = read.PruningFrequency
		}
		p.due(ctx)
	}
}

// due does what the schedule asks for now, and returns the names that it has removed.
func (p *pruner) due(ctx context.Context) ([]string, error) {
	read, err := readSettings()
	if err != nil {
		return nil, err
	}
	if read.PruningFrequency <= 0 && availablePercent() >= read.AvailableDiskThreshold {
		return []string{}, nil
	}
	return p.removeUnused(ctx, read.Microservices)
}

// removeUnused deletes the first name of every image that neither a configured microservice names, letter by
// letter, nor a running container uses. Any of an image's names protects it; only one goes at a time.
func (p *pruner) removeUnused(ctx context.Context, wanted []string) ([]string, error) {
	groups, err := p.images.all(ctx)
	if err != nil {
		return nil, err
	}
	running, err := p.running(ctx)
	if err != nil {
		return nil, err
	}
	used := append(running, wanted...)
	removed := []string{}
	for _, group := range groups {
		isUsed := slices.ContainsFunc(group.names, func(name string) bool { return slices.Contains(used, name) })
		// The real one's rule spares its own sandbox image no more than others; without it nothing could be
		// started on a host of the lab until the daemon is started anew, and that is not what is tested.
		if isUsed || slices.Contains(group.names, pauseImage) {
			continue
		}
		if err := p.images.delete(ctx, group.names[0]); err == nil {
			removed = append(removed, group.names[0])
		}
	}
	return removed, nil
}

// running is the images of containers whose process runs.
func (p *pruner) running(ctx context.Context) ([]string, error) {
	containers, err := p.images.client.Containers(ctx)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, container := range containers {
		task, err := container.Task(ctx, nil)
		if err != nil {
			continue
		}
		info, err := container.Info(ctx)
		if state, failed := task.Status(ctx); err == nil && failed == nil && state.Status == containerd.Running {
			found = append(found, info.Image)
		}
	}
	return found, nil
}

// availablePercent is how much of the disk with the images can be written; 100 if that can't be known.
func availablePercent() uint64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dataRoot, &disk); err != nil || disk.Blocks == 0 {
		return 100
	}
	return disk.Bavail * 100 / disk.Blocks
}
