package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// How long a container of a test may run.
	containerLimit = time.Minute
	// CRI hears of new names by events, a moment after they are in the catalog.
	eventsWithin = time.Second
	tick         = 20 * time.Millisecond
)

// cri is the runtime that edgelet makes its containers with.
type cri struct {
	client  *containerd.Client
	runtime runtime.RuntimeServiceClient
	images  runtime.ImageServiceClient
}

func newCRI(client *containerd.Client) *cri {
	connection := client.Conn().(grpc.ClientConnInterface)
	return &cri{client, runtime.NewRuntimeServiceClient(connection), runtime.NewImageServiceClient(connection)}
}

// sandboxed is one container to make, in a sandbox of its own.
type sandboxed struct {
	image   string
	command []string // instead of the image's own
	cgroup  string   // parent
	create  bool     // and nothing more
	detach  bool     // leave it running
}

// run makes a container as edgelet does, and nothing is pulled: the image must be in the catalog under the very
// name, and for CRI under its canonical one. Then it is started, its output copied, and all of it removed; its
// exit code is this program's.
func (c *cri) run(ctx context.Context, wanted sandboxed) (err error) {
	if _, err := c.client.GetImage(ctx, wanted.image); err != nil {
		return fmt.Errorf("image %s not found (pull first): %w", wanted.image, err)
	}
	c.awaitName(ctx, wanted.image)
	logs, err := os.MkdirTemp("", "edgelet-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(logs)
	pod := podConfig(wanted.cgroup, logs)
	made, err := c.runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod})
	if err != nil {
		return fmt.Errorf("RunPodSandbox: %w", err)
	}
	defer func() {
		if err != nil || !wanted.detach {
			err = errors.Join(err, c.remove(ctx, made.PodSandboxId))
		}
	}()
	container, err := c.runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId:  made.PodSandboxId,
		SandboxConfig: pod,
		Config: &runtime.ContainerConfig{
			Metadata: &runtime.ContainerMetadata{Name: "only"},
			Image:    &runtime.ImageSpec{Image: wanted.image},
			Command:  wanted.command,
			LogPath:  "only.log",
			Linux:    &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{NamespaceOptions: onHost()}},
		},
	})
	if err != nil || wanted.create {
		return err
	}
	started := &runtime.StartContainerRequest{ContainerId: container.ContainerId}
	if _, err := c.runtime.StartContainer(ctx, started); err != nil || wanted.detach {
		return err
	}
	code, err := c.wait(ctx, container.ContainerId)
	if err == nil {
		err = copyLog(filepath.Join(logs, "only.log"))
	}
	if err == nil && code != 0 {
		err = &exitStatus{int(code)}
	}
	return err
}

func podConfig(cgroup, logs string) *runtime.PodSandboxConfig {
	id := uuid.NewString()
	return &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: id, Uid: id, Namespace: "lab"},
		LogDirectory: logs,
		Linux: &runtime.LinuxPodSandboxConfig{
			CgroupParent:    cgroup,
			SecurityContext: &runtime.LinuxSandboxSecurityContext{NamespaceOptions: onHost()},
		},
	}
}

// onHost is the host's own network: the lab's hosts have no other, and no CNI.
func onHost() *runtime.NamespaceOption {
	return &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE}
}

// awaitName waits for CRI to know of the name, if it ever will.
func (c *cri) awaitName(ctx context.Context, image string) {
	asked := &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: image}}
	for end := time.Now().Add(eventsWithin); time.Now().Before(end); time.Sleep(tick) {
		if answer, err := c.images.ImageStatus(ctx, asked); err == nil && answer.Image != nil {
			return
		}
	}
}

func (c *cri) wait(ctx context.Context, id string) (int32, error) {
	for end := time.Now().Add(containerLimit); time.Now().Before(end); time.Sleep(tick) {
		answer, err := c.runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return 0, err
		}
		if answer.Status.State == runtime.ContainerState_CONTAINER_EXITED {
			return answer.Status.ExitCode, nil
		}
	}
	return 0, fmt.Errorf("the container still runs after %s", containerLimit)
}

// copyLog writes what a container has said to the standard output; a line of CRI's log is time, stream, tag, text.
func copyLog(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if parts := strings.SplitN(lines.Text(), " ", 4); len(parts) == 4 {
			fmt.Println(parts[3])
		}
	}
	return lines.Err()
}

func (c *cri) removeAll(ctx context.Context) error {
	listed, err := c.runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	for _, pod := range listed.Items {
		err = errors.Join(err, c.remove(ctx, pod.Id))
	}
	return err
}

// remove ends and deletes a sandbox and its containers.
func (c *cri) remove(ctx context.Context, pod string) error {
	_, stopped := c.runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: pod})
	_, removed := c.runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: pod})
	return errors.Join(stopped, removed)
}
