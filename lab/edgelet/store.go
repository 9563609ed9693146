package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
)

const snapshotter = "overlayfs"

// imageStore is containerd's, in CRI's namespace.
type imageStore struct{ client *containerd.Client }

// stored is what containerd has under one digest, with all of its names in the catalog's order (by byte).
type stored struct {
	image containerd.Image
	names []string
}

func (s *stored) digest() string { return s.image.Target().Digest.String() }

// load imports an archive by its path on this host: a tar, or all of it gzip or zstd.
//
// There is nothing more to it, on purpose: containerd's Import does not miss layers that are nowhere, and so
// neither does the real edgelet.
func (s *imageStore) load(ctx context.Context, path string) ([]map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("failed to access path: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("path must point to a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	archive, err := compression.DecompressStream(file)
	if err != nil {
		return nil, fmt.Errorf("decompress image archive: %w", err)
	}
	defer archive.Close()
	imported, err := s.client.Import(ctx, archive)
	if err != nil {
		return nil, err
	}
	loaded := []map[string]string{}
	for _, image := range imported {
		loaded = append(loaded, map[string]string{"name": image.Name, "id": image.Target.Digest.String()})
	}
	return loaded, nil
}

// importPause brings the image of which CRI makes sandboxes, as nothing may be pulled.
func (s *imageStore) importPause(ctx context.Context) error {
	if _, err := s.client.GetImage(ctx, pauseImage); err == nil {
		return nil
	}
	_, err := s.load(ctx, pauseArchive)
	return err
}

// all is everything in the catalog, grouped by digest, in the order of the first names.
func (s *imageStore) all(ctx context.Context) ([]*stored, error) {
	listed, err := s.client.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	groups, byDigest := []*stored{}, map[string]*stored{}
	for _, image := range listed {
		digest := image.Target().Digest.String()
		if byDigest[digest] == nil {
			byDigest[digest] = &stored{image: image}
			groups = append(groups, byDigest[digest])
		}
		byDigest[digest].names = append(byDigest[digest].names, image.Name())
	}
	return groups, nil
}

// list is the answer of "image ls": a row a digest, newest first. A row shows one name of possibly many.
func (s *imageStore) list(ctx context.Context) ([]map[string]any, error) {
	groups, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	inUse, err := s.containersByImage(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(groups, func(a, b *stored) int {
		return b.image.Metadata().CreatedAt.Compare(a.image.Metadata().CreatedAt)
	})
	rows := []map[string]any{}
	for _, group := range groups {
		rows = append(rows, s.row(ctx, group, inUse))
	}
	return rows, nil
}

func (s *imageStore) row(ctx context.Context, group *stored, inUse map[string]int) map[string]any {
	content, disk := s.sizes(ctx, group.image)
	repository, tag := primaryName(group.names)
	digest, used := group.digest(), 0
	for _, name := range append([]string{digest}, group.names...) {
		used += inUse[name]
	}
	return map[string]any{
		"id": digest, "digest": digest, "shortId": shortID(digest), "repository": repository, "tag": tag,
		"createdAt":        group.image.Metadata().CreatedAt.UTC().Format(time.RFC3339),
		"contentSizeBytes": content, "contentSizeHuman": human(content),
		"diskUsageBytes": disk, "diskUsageHuman": human(disk),
		"inUse": used, "engine": engineName,
	}
}

// sizes are the bytes of the blobs that are there, and those plus what is unpacked. Both 0 if the content
// can't be followed, as where a manifest is missing.
func (s *imageStore) sizes(ctx context.Context, image containerd.Image) (content, disk int64) {
	content, err := image.Usage(ctx)
	if err != nil {
		return 0, 0
	}
	unpacked, err := s.unpacked(ctx, image)
	if err != nil {
		return content, content
	}
	return content, content + unpacked
}

func (s *imageStore) unpacked(ctx context.Context, image containerd.Image) (total int64, err error) {
	layers, err := image.RootFS(ctx)
	if err != nil || len(layers) == 0 {
		return 0, err
	}
	snapshots := s.client.SnapshotService(snapshotter)
	for name := identity.ChainID(layers).String(); name != ""; {
		usage, err := snapshots.Usage(ctx, name)
		if errdefs.IsNotFound(err) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		info, err := snapshots.Stat(ctx, name)
		if err != nil {
			return 0, err
		}
		total, name = total+usage.Size, info.Parent
	}
	return total, nil
}

// containersByImage counts containers by the name of their image.
func (s *imageStore) containersByImage(ctx context.Context) (map[string]int, error) {
	containers, err := s.client.Containers(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, container := range containers {
		if info, err := container.Info(ctx); err == nil {
			counts[info.Image]++
		}
	}
	return counts, nil
}

// remove deletes the one name that a selector means, and what only that name has held.
func (s *imageStore) remove(ctx context.Context, selector string) (string, error) {
	groups, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	name, err := selected(selector, groups)
	if err != nil {
		return "", err
	}
	return name, s.delete(ctx, name)
}

// delete removes a name, and waits until the garbage collector has been.
func (s *imageStore) delete(ctx context.Context, name string) error {
	return s.client.ImageService().Delete(ctx, name, images.SynchronousDelete())
}

// pruneDangling deletes the names that no container uses and that are a digest, as CRI makes them, or have no
// colon at all: a repository without a tag is one of those, too.
func (s *imageStore) pruneDangling(ctx context.Context) (deleted []string, bytes int64, err error) {
	listed, err := s.client.ListImages(ctx)
	if err != nil {
		return nil, 0, err
	}
	inUse, err := s.containersByImage(ctx)
	if err != nil {
		return nil, 0, err
	}
	deleted = []string{}
	for _, image := range listed {
		name := image.Name()
		dangling := strings.HasPrefix(name, "sha256:") || !strings.Contains(name, ":")
		if !dangling || inUse[name] > 0 {
			continue
		}
		_, disk := s.sizes(ctx, image)
		if err := s.delete(ctx, name); err == nil {
			deleted, bytes = append(deleted, name), bytes+disk
		}
	}
	return deleted, bytes, nil
}
