package main

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// operations are the loads that were asked for, also those that have ended.
type operations struct {
	images *imageStore
	mutex  sync.Mutex
	states map[string]map[string]any
}

func newOperations(images *imageStore) *operations {
	return &operations{images: images, states: map[string]map[string]any{}}
}

// begin starts a load and returns its first state. Nothing is known of the path yet: also what can't be opened
// is accepted, and fails later.
func (o *operations) begin(path string) map[string]any {
	id := uuid.NewString()
	o.change(id, map[string]any{
		"operationId": id, "status": "running", "path": path, "engine": engineName, "startedAt": now(),
	})
	begun := o.state(id)
	go func() {
		loaded, err := o.images.load(context.Background(), path)
		ended := map[string]any{"status": "succeeded", "endedAt": now()}
		if err != nil {
			ended["status"], ended["error"] = "failed", err.Error()
		} else if len(loaded) > 0 {
			ended["loaded"], ended["count"] = loaded, len(loaded)
		}
		o.change(id, ended)
	}()
	return begun
}

// state is a copy, or nil for an id that is not known.
func (o *operations) state(id string) map[string]any {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	found, there := o.states[id]
	if !there {
		return nil
	}
	copied := make(map[string]any, len(found))
	for key, value := range found {
		copied[key] = value
	}
	return copied
}

func (o *operations) change(id string, values map[string]any) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.states[id] == nil {
		o.states[id] = map[string]any{}
	}
	for key, value := range values {
		o.states[id][key] = value
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }
