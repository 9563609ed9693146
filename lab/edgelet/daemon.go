package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
)

const (
	containerdSocket = "/run/edgelet/containerd.sock"
	// The namespace that CRI keeps everything in.
	namespace = "k8s.io"
	// The sandbox image, as containerd.toml names it, and the archive that it is imported from.
	pauseImage   = "docker.io/portainer/pause:latest"
	pauseArchive = "/var/lib/edgelet-containerd/images/pause.tar"
)

// service answers the API.
type service struct {
	images *imageStore
	loads  *operations
}

// serve is the daemon: until a signal ends it.
func serve(o *options) error {
	// As a service manager starts it, so that a relative path means nothing of the caller's.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	client, err := connect()
	if err != nil {
		return err
	}
	defer client.Close()
	images := &imageStore{client}
	if err := images.importPause(context.Background()); err != nil {
		return fmt.Errorf("pause image: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go (&pruner{images}).run(ctx)
	server := &http.Server{Handler: (&service{images, newOperations(images)}).routes()}
	listener, err := listen(o.socket)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func connect() (*containerd.Client, error) {
	return containerd.New(containerdSocket, containerd.WithDefaultNamespace(namespace))
}

// listen makes the socket, which only root may open.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	os.Remove(path)
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]route{
		"GET /v1/images":               s.list,
		"POST /v1/images:load":         s.load,
		"GET /v1/images:load/{id}":     s.loadStatus,
		"POST /v1/images:remove":       s.remove,
		"POST /v1/images:prune":        s.prune,
		"GET /v1/system/version":       s.version,
		"GET /v1/system/info":          s.info,
		"GET /v1/system/status":        s.status,
		"POST /v1/lab/scheduled-prune": s.scheduledPrune,
	} {
		mux.Handle(pattern, answer)
	}
	return mux
}

// route answers one request with a status and the envelope's data, or fails.
type route func(*http.Request) (int, map[string]any, error)

var statuses = map[string]int{invalidArgument: http.StatusBadRequest, notFound: http.StatusNotFound}

func (r route) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status, data, err := r(request)
	answer := envelope{Success: err == nil, Data: data}
	if err != nil {
		failed := &failure{internal, err.Error()}
		errors.As(err, &failed)
		answer.Error = &apiError{failed.code, failed.message}
		status = http.StatusInternalServerError
		if known, there := statuses[failed.code]; there {
			status = known
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

func (s *service) list(request *http.Request) (int, map[string]any, error) {
	items, err := s.images.list(request.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"items": items, "count": len(items)}, nil
}

func (s *service) load(request *http.Request) (int, map[string]any, error) {
	var wanted struct{ Path string }
	path, err := field(request, &wanted, &wanted.Path, "path")
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, s.loads.begin(path), nil
}

func (s *service) loadStatus(request *http.Request) (int, map[string]any, error) {
	state := s.loads.state(request.PathValue("id"))
	if state == nil {
		return 0, nil, &failure{notFound, "image load operation not found"}
	}
	return http.StatusOK, state, nil
}

func (s *service) remove(request *http.Request) (int, map[string]any, error) {
	var wanted struct{ Selector string }
	selector, err := field(request, &wanted, &wanted.Selector, "selector")
	if err != nil {
		return 0, nil, err
	}
	removed, err := s.images.remove(request.Context(), selector)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{
		"status": "ok", "selector": selector, "removed": removed, "engine": engineName,
		"message": "image removed",
	}, nil
}

func (s *service) prune(request *http.Request) (int, map[string]any, error) {
	if mode := strings.ToLower(request.URL.Query().Get("mode")); mode != "" && mode != "dangling" {
		return 0, nil, &failure{invalidArgument, "image prune supports only mode=dangling"}
	}
	deleted, bytes, err := s.images.pruneDangling(request.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{
		"status": "ok", "mode": "dangling", "engine": engineName, "message": "dangling images pruned",
		"deleted": deleted, "deletedCount": len(deleted),
		"spaceReclaimedBytes": bytes, "spaceReclaimedHuman": human(bytes),
		// The real one prunes AI models along; there are none here.
		"modelsRemoved": []string{}, "modelsRemovedCount": 0,
	}, nil
}

func (s *service) scheduledPrune(request *http.Request) (int, map[string]any, error) {
	removed, err := (&pruner{s.images}).due(request.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"removed": removed}, nil
}

func (s *service) version(*http.Request) (int, map[string]any, error) {
	return http.StatusOK, map[string]any{
		"version": version, "buildTime": "unknown", "gitCommit": "unknown",
		"allowedContainerEngine": "edgelet,docker,podman",
	}, nil
}

func (s *service) info(*http.Request) (int, map[string]any, error) {
	read, err := readSettings()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{
		"containerEngine": engineName, "containerEngineUrl": "unix://" + containerdSocket,
		"pruningFrequency":       fmt.Sprint(read.PruningFrequency),
		"availableDiskThreshold": fmt.Sprint(read.AvailableDiskThreshold),
	}, nil
}

func (s *service) status(*http.Request) (int, map[string]any, error) {
	return http.StatusOK, map[string]any{
		"edgeletDaemon": "running", "runtimeAvailable": true, "systemTime": time.Now().UTC().Format(time.RFC3339),
	}, nil
}

// field reads a JSON body that has one field, and that one not empty.
func field(request *http.Request, into any, value *string, name string) (string, error) {
	decoder := json.NewDecoder(request.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return "", &failure{invalidArgument, "invalid JSON body"}
	}
	if *value = strings.TrimSpace(*value); *value == "" {
		return "", &failure{invalidArgument, name + " is required"}
	}
	return *value, nil
}
