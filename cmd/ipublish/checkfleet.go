package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"ipublish/deploy"
)

// atOnce is how many hosts are looked at together.
const atOnce = 16

// onEach asks about every host, a limited number at once, and gives the answers
// in the order of the hosts.
func onEach[T any](hosts []deploy.Host, ask func(deploy.Host) T) []T {
	out := make([]T, len(hosts))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, h := range hosts {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			out[i] = ask(h)
		})
	}
	all.Wait()
	return out
}

// member is what was found on one host of a rolling environment.
type member struct {
	id     deploy.HostID
	become string // the words that commands get their rights by; may be empty
	condition
	err  error
	lack []string // lines of sudoers
}

// fleet looks at all hosts of a rolling environment and gives those that can be used.
func (k *checking) fleet(ctx context.Context, name string, a deploy.App, e deploy.Environment) []deploy.Host {
	k.budget(name, e)
	members := onEach(e.Hosts, func(h deploy.Host) member { return k.member(ctx, a, e, h) })
	var good []deploy.Host
	for i, m := range members {
		if m.err == nil {
			good = append(good, e.Hosts[i])
		}
	}
	if len(members) <= mostListed {
		for _, m := range members {
			k.fact(fmt.Sprintf("%s: host %s runs commands%s and can write %s%s", name, m.id, m.rights(), e.ReleaseDir, m.left()), m.err)
			k.detail(m.lack)
		}
	} else {
		k.many(name, e, members, len(good))
	}
	k.shortOf(name, e, members)
	return good
}

func (k *checking) member(ctx context.Context, a deploy.App, e deploy.Environment, h deploy.Host) member {
	m := member{id: h.ID}
	if m.become, m.lack, m.err = k.rights(ctx, h, privileged(a, e, h)); m.err == nil {
		m.condition, m.err = k.host(ctx, h, e.ReleaseDir)
	}
	return m
}

func (m member) rights() string {
	if m.become == "" {
		return ""
	}
	return " by " + m.become
}

func (m member) left() string {
	if m.err != nil || m.room < 0 {
		return ""
	}
	return fmt.Sprintf(" (%s free)", size(m.room))
}

// many tells of a large fleet: how many hosts are well, and the others by their
// names, those together of which the same is to be said.
func (k *checking) many(name string, e deploy.Environment, members []member, good int) {
	if good > 0 {
		k.fact(fmt.Sprintf("%s: %d of %d hosts run commands and can write %s", name, good, len(members), e.ReleaseDir), nil)
	}
	bad, last := grouped{}, map[string]member{}
	for i, m := range members {
		if m.err != nil {
			text := strings.ReplaceAll(deploy.MessageOf(m.err), e.Hosts[i].Address, "HOST")
			bad.add(text, m.id)
			last[text] = m
		}
	}
	for _, text := range bad.texts() {
		if m := last[text]; len(bad[text]) == 1 {
			k.fact(fmt.Sprintf("%s: host %s", name, m.id), m.err)
		} else {
			k.fact(fmt.Sprintf("%s: %d of %d hosts, %s", name, len(bad[text]), len(members), every(bad[text])), unfit("%s", text))
		}
		k.detail(last[text].lack)
	}
}

// every names all hosts, however many: these are the ones to go to.
func every(ids []deploy.HostID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}

// shortOf warns of what makes deploys slower, or impossible some day.
func (k *checking) shortOf(name string, e deploy.Environment, members []member) {
	var blind, full []deploy.HostID
	for _, m := range members {
		if m.err == nil && !m.ss {
			blind = append(blind, m.id)
		}
		if m.err == nil && m.room >= 0 && m.room < fairRoom {
			full = append(full, m.id)
		}
	}
	if len(blind) > 0 {
		k.warn(fmt.Sprintf("%s: %s: ss is not there, so that /proc/net/tcp is read, where idle connections look busy and each drain may last drain_timeout, %s: install iproute2", name, listed(blind), e.DrainTimeout))
	}
	if len(full) > 0 {
		k.warn(fmt.Sprintf("%s: %s: less than %s free below %s, where releases are kept", name, listed(full), size(fairRoom), e.ReleaseDir))
	}
}
