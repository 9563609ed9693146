package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

const none = "<none>"

var hexPrefix = regexp.MustCompile(`^(sha256:)?[0-9a-f]{3,64}$`)

// primaryName is the repository and the tag of the first name that is not a digest.
func primaryName(names []string) (repository, tag string) {
	for _, name := range names {
		if strings.HasPrefix(name, "sha256:") {
			continue
		}
		if colon := strings.LastIndex(name, ":"); colon > 0 {
			return name[:colon], name[colon+1:]
		}
		return name, none
	}
	return none, none
}

func shortID(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(12, len(hex))]
}

// selected is the stored name that a selector means: a digest, a name letter by letter (or in other case), a
// name in its Docker Hub spellings, or three or more digits of a digest. One name only, also of a digest.
func selected(selector string, groups []*stored) (string, error) {
	found := []string{}
	for _, group := range groups {
		if name := group.matched(selector); name != "" && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", &failure{notFound, "image not found: " + selector}
	case 1:
		return found[0], nil
	}
	return "", &failure{invalidArgument, fmt.Sprintf("ambiguous image selector %q; candidates: %s",
		selector, strings.Join(found, ", "))}
}

func (s *stored) matched(selector string) string {
	hex := strings.TrimPrefix(strings.ToLower(selector), "sha256:")
	own := strings.TrimPrefix(s.digest(), "sha256:")
	if hex == own || hex == shortID(s.digest()) {
		return s.readable()
	}
	for _, same := range []func(string) bool{
		func(name string) bool { return strings.EqualFold(name, selector) },
		func(name string) bool {
			return strings.ContainsAny(selector, ":/") && canonical(name) == canonical(selector)
		},
	} {
		if at := slices.IndexFunc(s.names, same); at >= 0 {
			if strings.HasPrefix(s.names[at], "sha256:") {
				return s.readable()
			}
			return s.names[at]
		}
	}
	if hexPrefix.MatchString(strings.ToLower(selector)) && strings.HasPrefix(own, hex) {
		return s.readable()
	}
	return ""
}

// readable is the first name that is not a digest, or else the digest, which is nobody's name: so no remove takes
// the name that CRI has made.
func (s *stored) readable() string {
	for _, name := range s.names {
		if !strings.HasPrefix(name, "sha256:") {
			return name
		}
	}
	return s.digest()
}

// canonical is the spelling with a registry, and with a tag; what is no reference stays as it is.
func canonical(name string) string {
	parsed, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return parsed.String()
}

// human is a size as the real one writes it: powers of 1000, more digits from a gigabyte on.
func human(size int64) string {
	if size < 1000 {
		return fmt.Sprintf("%d B", max(size, 0))
	}
	value, unit := float64(size)/1000, 0
	for value >= 1000 && unit < 3 {
		value, unit = value/1000, unit+1
	}
	digits := 1
	if unit >= 2 {
		digits = 2
	} else if unit == 1 && value >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s", digits, value, []string{"KB", "MB", "GB", "TB"}[unit])
}
